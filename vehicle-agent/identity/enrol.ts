import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@caas/contract/backoff.ts";
import {
  type EnrolmentPackage,
  type EnrolmentResponse,
  enrolmentResponseSchema,
  makeEnrolmentRequest,
} from "@caas/contract/enrolment.ts";
import type { AgentStorage } from "../storage/storage.ts";
import { explainDistrust } from "./certificate-trust.ts";
import { becomeNext, finishEnrolment, keysForNext, markOfPackage } from "./enrol-again.ts";
import { type CarIdentity, keySetFileName, loadIdentity, saveIdentity } from "./identity.ts";
import { type CarKeys, ensureCarKeys, proofKeyName, tlsKeyName, tlsPublicKeyOf } from "./keys.ts";
import { type PostAnswer, postJson } from "./post-json.ts";

export type EnrolmentResult =
  | { kind: "enrolled"; identity: CarIdentity }
  /** The folder already belongs to another car; nothing was asked or changed. */
  | { kind: "otherCar"; detail: string }
  /** `unreachable`: no trusted answer within the attempts. */
  | Exclude<PostAnswer<EnrolmentResponse>, { kind: "answered" }>;

export type EnrolmentOptions = {
  package: EnrolmentPackage;
  storage: AgentStorage;
  random: () => number;
  /** Default: long enough for a control plane to restart, and a moment for a car that has an identity. */
  attempts?: number;
  /** Ends the waiting between attempts. */
  signal?: AbortSignal;
};

/** With back-off about a minute. */
const triesOfNew = 8;
const triesOfKnown = 2;
/** The statuses with which the control plane refuses keys of a former identity, and those that were revoked since. */
const keysHaveEnded: readonly number[] = [400, 403];

/**
 * Exchanges the package for the car's certificate. May run again after a crash at any point and after success:
 * keys are stored before they are sent and the identity last, and the same token with the same keys gets the
 * same certificate. With another package than the one it was enrolled by, an enrolled car becomes a new one; until
 * the control plane has accepted that package it stays what it is.
 */
export async function enrol(options: EnrolmentOptions): Promise<EnrolmentResult> {
  const { storage, package: given } = options;
  await finishEnrolment(storage);
  const known = await loadIdentity(storage);
  if (known !== null && known.vin !== given.vin)
    return {
      kind: "otherCar",
      detail: `the folder is enrolled as ${known.vin}, and the package is for ${given.vin}`,
    };
  if (known !== null && known.package === markOfPackage(given)) return { kind: "enrolled", identity: known };
  // Fresh keys were never known, let alone revoked.
  const stored = [await storage.read(tlsKeyName), await storage.read(proofKeyName)];
  const mayHaveEnded = known === null && stored.some((text) => text !== null);
  let keys = known === null ? await ensureCarKeys(storage) : await keysForNext(storage, given);
  let answer = await ask(options, keys, known === null ? triesOfNew : triesOfKnown);
  if (mayHaveEnded && answer.kind === "refused" && keysHaveEnded.includes(answer.status)) {
    // The identity is lost and the keys are not.
    keys = await keysForNext(storage, given);
    answer = await ask(options, keys, triesOfNew);
  }
  if (answer.kind !== "answered") return answer;
  const { response } = answer;
  const problem =
    response.vin === given.vin
      ? explainDistrust(response, { ...given, tlsKeyPem: keys.tlsKeyPem })
      : `the answer is for ${response.vin}`;
  if (problem !== null) return { kind: "unreachable", detail: problem };
  if (known === null && response.connection === undefined) {
    await storage.write(keySetFileName, response.keySet);
    const { vin, certificate, brokerCa, broker } = response;
    const { rootPublicKey, controlPlaneUrl } = given;
    const identity = { vin, rootPublicKey, controlPlaneUrl, certificate, brokerCa, broker };
    await saveIdentity(storage, { ...identity, package: markOfPackage(given) });
  } else await becomeNext(storage, given, keys, response);
  const identity = await loadIdentity(storage);
  if (identity === null) throw new Error("the identity just stored cannot be read");
  return { kind: "enrolled", identity };
}

async function ask(
  options: EnrolmentOptions,
  { tlsKeyPem, proofKeyPem }: CarKeys,
  tries: number,
): Promise<PostAnswer<EnrolmentResponse>> {
  const attempts = options.attempts ?? tries;
  const { token } = options.package;
  const request = makeEnrolmentRequest(token, tlsKeyPem, tlsPublicKeyOf(tlsKeyPem), proofKeyPem);
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
