import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@caas/contract/backoff.ts";
import {
  type EnrolmentPackage,
  type EnrolmentRequest,
  type EnrolmentResponse,
  enrolmentResponseSchema,
  makeEnrolmentRequest,
} from "@caas/contract/enrolment.ts";
import type { AgentStorage } from "../storage/storage.ts";
import { explainDistrust } from "./certificate-trust.ts";
import { type CarIdentity, keySetFileName, loadIdentity, saveIdentity } from "./identity.ts";
import { ensureCarKeys, tlsPublicKeyOf } from "./keys.ts";
import { type PostAnswer, postJson } from "./post-json.ts";

export type EnrolmentResult =
  | { kind: "enrolled"; identity: CarIdentity }
  /** `unreachable`: no trusted answer within the attempts. */
  | Exclude<PostAnswer<EnrolmentResponse>, { kind: "answered" }>;

export type EnrolmentOptions = {
  package: EnrolmentPackage;
  storage: AgentStorage;
  random: () => number;
  /** Default 8, which with back-off is about a minute: long enough for a control plane to restart. */
  attempts?: number;
  /** Ends the waiting between attempts. */
  signal?: AbortSignal;
};

/**
 * Exchanges the package for the car's certificate. May run again after a crash at any point and after success:
 * keys are stored before they are sent and the identity last, and the same token with the same keys gets the
 * same certificate.
 * @throws Error when the folder already belongs to another car.
 */
export async function enrol(options: EnrolmentOptions): Promise<EnrolmentResult> {
  const { storage, package: given } = options;
  const known = await loadIdentity(storage);
  if (known !== null) {
    if (known.vin !== given.vin) throw new Error(`this folder is enrolled as ${known.vin}, not ${given.vin}`);
    return { kind: "enrolled", identity: known };
  }
  const keys = await ensureCarKeys(storage);
  const { tlsKeyPem, proofKeyPem } = keys;
  const request = makeEnrolmentRequest(given.token, tlsKeyPem, tlsPublicKeyOf(tlsKeyPem), proofKeyPem);
  const answer = await ask(options, request);
  if (answer.kind !== "answered") return answer;
  const { response } = answer;
  const problem =
    response.vin === given.vin
      ? explainDistrust(response, { ...given, tlsKeyPem })
      : `the answer is for ${response.vin}`;
  if (problem !== null) return { kind: "unreachable", detail: problem };
  await storage.write(keySetFileName, response.keySet);
  const { vin, certificate, brokerCa, broker } = response;
  const { rootPublicKey, controlPlaneUrl } = given;
  await saveIdentity(storage, { vin, rootPublicKey, controlPlaneUrl, certificate, brokerCa, broker });
  const identity = await loadIdentity(storage);
  if (identity === null) throw new Error("the identity just stored cannot be read");
  return { kind: "enrolled", identity };
}

async function ask(
  options: EnrolmentOptions,
  request: EnrolmentRequest,
): Promise<PostAnswer<EnrolmentResponse>> {
  const attempts = options.attempts ?? 8;
  const url = new URL("/api/enrolments", options.package.controlPlaneUrl);
  let answer: PostAnswer<EnrolmentResponse> = { kind: "unreachable", detail: "not asked" };
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (attempt > 0) {
      await delay(backoffMs(attempt - 1, options.random), undefined, { signal: options.signal });
    }
    answer = await postJson(url, request, enrolmentResponseSchema);
    if (answer.kind !== "unreachable") return answer;
  }
  return answer;
}
