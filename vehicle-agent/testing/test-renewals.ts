import { createPublicKey } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import { isRenewalProved, type RenewalResponse, renewalRequestSchema } from "@caas/contract/renewal.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { type JsonServer, startJsonServer } from "./json-server.ts";
import type { makeAuthority } from "./test-authority.ts";

export type TestRenewals = JsonServer & {
  /** Life of the next certificates. */
  lifeMs: number;
  /** Changes the next answers on their way. */
  tamper: ((response: RenewalResponse) => RenewalResponse) | null;
};

/** The renewal side of a control plane for one enrolled car. */
export async function startTestRenewals(options: {
  vin: Vin;
  /** Raw Ed25519 (base64url) as enrolled. */
  proofPublicKey: string;
  authority: Awaited<ReturnType<typeof makeAuthority>>;
  now: () => Date;
  lifeMs: number;
  keySet: () => string;
}): Promise<TestRenewals> {
  const { vin, authority } = options;

  async function answer(text: string): Promise<{ status: number; body: object }> {
    const request = renewalRequestSchema.parse(JSON.parse(text));
    const notBefore = options.now();
    if (Math.abs(Date.parse(request.requestedAt) - notBefore.getTime()) > dayMs)
      return { status: 400, body: { detail: "the request is of another day" } };
    const isProved = isRenewalProved(request, createPublicKey(request.tlsPublicKey), options.proofPublicKey);
    if (request.vin !== vin || !isProved) return { status: 403, body: { detail: "the proof is wrong" } };
    const notAfter = new Date(notBefore.getTime() + renewals.lifeMs);
    const response = {
      certificate: await authority.certifyCar(vin, request.tlsPublicKey, { notBefore, notAfter }),
      brokerCa: authority.certificate,
      keySet: options.keySet(),
    };
    return { status: 201, body: renewals.tamper?.(response) ?? response };
  }

  const server = await startJsonServer("/api/certificate-renewals", answer);
  const renewals: TestRenewals = Object.assign(server, { lifeMs: options.lifeMs, tamper: null });
  return renewals;
}
