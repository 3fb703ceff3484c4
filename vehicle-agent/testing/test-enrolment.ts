import { createPublicKey } from "node:crypto";
import { createServer } from "node:http";
import {
  type EnrolmentPackage,
  type EnrolmentResponse,
  enrolmentRequestSchema,
  isEnrolmentProved,
} from "@caas/contract/enrolment.ts";
import { verifyingKeyFrom } from "@caas/contract/jws.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { makeAuthority } from "./test-authority.ts";
import type { TestSigner } from "./test-signer.ts";

export type TestEnrolment = {
  package: EnrolmentPackage;
  /** Requests so far. */
  readonly requests: number;
  /** The next answers are these status codes instead. */
  failNext(...statuses: number[]): void;
  /** Changes the next answers on their way. */
  tamper: ((response: EnrolmentResponse) => EnrolmentResponse) | null;
  /** The proof key it enrolled. */
  proofKey(): ReturnType<typeof verifyingKeyFrom>;
  close(): Promise<void>;
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
  const failures: number[] = [];
  let requests = 0;
  let proofPublicKey = "";
  const result: Omit<TestEnrolment, "package" | "close"> = {
    get requests() {
      return requests;
    },
    tamper: null,
    failNext: (...statuses) => void failures.push(...statuses),
    proofKey: () => verifyingKeyFrom(proofPublicKey),
  };

  async function answer(text: string): Promise<{ status: number; body: object }> {
    requests += 1;
    const failure = failures.shift();
    if (failure !== undefined) return { status: failure, body: { detail: "as the test wished" } };
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
    return { status: 201, body: result.tamper?.(response) ?? response };
  }

  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      void answer(text).then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return Object.assign(result, {
    package: {
      vin,
      token,
      controlPlaneUrl: `http://127.0.0.1:${address.port}`,
      rootPublicKey: signer.root.x,
      expiresAt: "2099-01-01T00:00:00.000Z",
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
