import { createPublicKey } from "node:crypto";
import {
  type EnrolmentPackage,
  type EnrolmentResponse,
  enrolmentRequestSchema,
  isEnrolmentProved,
} from "@caas/contract/enrolment.ts";
import { verifyingKeyFrom } from "@caas/contract/jws.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { type JsonServer, startJsonServer } from "./json-server.ts";
import { makeAuthority } from "./test-authority.ts";
import type { TestSigner } from "./test-signer.ts";

export type TestEnrolment = JsonServer & {
  package: EnrolmentPackage;
  /** Changes the next answers on their way. */
  tamper: ((response: EnrolmentResponse) => EnrolmentResponse) | null;
  /** The proof key it enrolled. */
  proofKey(): ReturnType<typeof verifyingKeyFrom>;
};

/** The enrolment side of a control plane on a free loopback port: one token for one car. */
export async function startTestEnrolment(
  vin: Vin,
  signer: TestSigner,
  brokerUrl: string,
): Promise<TestEnrolment> {
  const ca = await makeAuthority();
  const token = "one-time-token-of-the-factory";
  const known = new Map<string, EnrolmentResponse>();
  let proofPublicKey = "";

  async function answer(text: string): Promise<{ status: number; body: object }> {
    const request = enrolmentRequestSchema.parse(JSON.parse(text));
    if (request.token !== token) return { status: 403, body: { detail: "the token is not valid" } };
    if (!isEnrolmentProved(request, createPublicKey(request.tlsPublicKey)))
      return { status: 400, body: { detail: "the keys did not sign the request" } };
    const keys = `${request.tlsPublicKey}${request.proofPublicKey}`;
    if (known.size > 0 && !known.has(keys))
      return { status: 409, body: { detail: "the token was used with another key" } };
    const response = known.get(keys) ?? {
      vin,
      certificate: await ca.certifyCar(vin, request.tlsPublicKey),
      brokerCa: ca.certificate,
      keySet: signer.keySet(1),
      broker: { url: brokerUrl, username: vin, password: "loopback-password" },
    };
    known.set(keys, response);
    proofPublicKey = request.proofPublicKey;
    return { status: 201, body: enrolment.tamper?.(response) ?? response };
  }

  const server = await startJsonServer("/api/enrolments", answer);
  const enrolment: TestEnrolment = Object.assign(server, {
    tamper: null,
    proofKey: () => verifyingKeyFrom(proofPublicKey),
    package: {
      vin,
      token,
      controlPlaneUrl: server.url,
      rootPublicKey: signer.root.x,
      expiresAt: "2099-01-01T00:00:00.000Z",
    },
  });
  return enrolment;
}
