import { createHash, createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  type EnrolmentPackage,
  type EnrolmentRequest,
  type EnrolmentResponse,
  enrolmentResponseSchema,
  makeEnrolmentRequest,
} from "@caas/contract/enrolment.ts";
import { verifyingKeyFrom } from "@caas/contract/jws.ts";
import { verifyKeySet } from "@caas/contract/key-set.ts";
import * as z from "zod";
import { backoffMs } from "./backoff.ts";
import { type CarIdentity, keySetFileName, loadIdentity, saveIdentity } from "./identity.ts";
import { ensureCarKeys, tlsPublicKeyOf } from "./keys.ts";
import type { AgentStorage } from "./storage.ts";

export type EnrolmentResult =
  | { kind: "enrolled"; identity: CarIdentity }
  /** The control plane said no: asking again changes nothing. */
  | { kind: "refused"; status: number; detail: string }
  /** No answer to trust within the attempts. */
  | { kind: "unreachable"; detail: string };

export type EnrolmentOptions = {
  package: EnrolmentPackage;
  storage: AgentStorage;
  random: () => number;
  /** Default 8, which with back-off is about a minute: a control plane that restarts is waited for. */
  attempts?: number;
  /** Ends the waiting between attempts. */
  signal?: AbortSignal;
};

/** One attempt's limit: enrolment signs one certificate. */
const answerTimeoutMs = 10_000;

/**
 * Trades the package for the car's certificate. May be run again after a crash at any point and after success:
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
  const problem = explainDistrust(response, given, tlsKeyPem);
  if (problem !== null) return { kind: "unreachable", detail: problem };
  await storage.write(keySetFileName, response.keySet);
  const { vin, certificate, brokerCa, broker } = response;
  const { rootPublicKey, controlPlaneUrl } = given;
  await saveIdentity(storage, { vin, rootPublicKey, controlPlaneUrl, certificate, brokerCa, broker });
  const identity = await loadIdentity(storage);
  if (identity === null) throw new Error("the identity just stored cannot be read");
  return { kind: "enrolled", identity };
}

type Answer =
  | { kind: "answered"; response: EnrolmentResponse }
  | Exclude<EnrolmentResult, { kind: "enrolled" }>;

async function ask(options: EnrolmentOptions, request: EnrolmentRequest): Promise<Answer> {
  const attempts = options.attempts ?? 8;
  let answer: Answer = { kind: "unreachable", detail: "not asked" };
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    if (attempt > 0) {
      await delay(backoffMs(attempt - 1, options.random), undefined, { signal: options.signal });
    }
    answer = await askOnce(new URL("/api/enrolments", options.package.controlPlaneUrl), request);
    if (answer.kind !== "unreachable") return answer;
  }
  return answer;
}

const problemSchema = z.looseObject({ detail: z.string() });

async function askOnce(url: URL, request: EnrolmentRequest): Promise<Answer> {
  const body = JSON.stringify(request);
  // Of the body: a run after a crash signs afresh, and another body under the same key would be refused.
  const idempotencyKey = createHash("sha256").update(body).digest("base64url");
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
      body,
      signal: AbortSignal.timeout(answerTimeoutMs),
    });
    const text = await response.text();
    const answer: unknown = text === "" ? null : JSON.parse(text);
    if (response.ok) return { kind: "answered", response: enrolmentResponseSchema.parse(answer) };
    const problem = problemSchema.safeParse(answer);
    const detail = problem.success ? problem.data.detail : `HTTP ${response.status}`;
    const mayPass = response.status >= 500 || response.status === 429 || response.status === 408;
    return mayPass ? { kind: "unreachable", detail } : { kind: "refused", status: response.status, detail };
  } catch (error) {
    return { kind: "unreachable", detail: error instanceof Error ? error.message : String(error) };
  }
}

/** Plain HTTP may have changed the answer: only what the pinned root and the car's own key confirm is stored. */
function explainDistrust(
  response: EnrolmentResponse,
  given: EnrolmentPackage,
  tlsKeyPem: string,
): string | null {
  if (response.vin !== given.vin) return `the answer is for ${response.vin}`;
  const keySet = verifyKeySet(response.keySet, verifyingKeyFrom(given.rootPublicKey), 0);
  if (keySet.kind === "refused") return `the key set is ${keySet.reason} under the pinned root`;
  const certificate = new X509Certificate(response.certificate);
  if (!certificate.publicKey.equals(createPublicKey(createPrivateKey(tlsKeyPem))))
    return "the certificate is for another key";
  if (!certificate.subject.split("\n").includes(`CN=${given.vin}`))
    return "the certificate names another car";
  return null;
}
