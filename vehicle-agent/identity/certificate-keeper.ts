import { backoffMs } from "@caas/contract/backoff.ts";
import { hourMs } from "@caas/contract/durations.ts";
import { makeRenewalRequest, renewalResponseSchema } from "@caas/contract/renewal.ts";
import type { AgentClock } from "../clock/agent-clock.ts";
import { paceMs } from "../clock/wake-ups.ts";
import { type Failpoint, noFailpoint } from "../failpoints.ts";
import type { AgentStorage } from "../storage/storage.ts";
import { readCertificateLife } from "./certificate-life.ts";
import { explainDistrust } from "./certificate-trust.ts";
import { type CarIdentity, type LinkCredential, saveLinkCredentials } from "./identity.ts";
import { makeTlsKey, tlsPublicKeyOf } from "./keys.ts";
import { postJson } from "./post-json.ts";

// A car's certificate is renewed at two thirds of its life, also at boot, and an expired one before the car connects:
// the car returns from any sleep unaided, by the proof key it enrolled with ("Trust").

export type Renewal =
  | { kind: "notDue" }
  /** With the newest key set (compact JWS), because the car may have slept through a rotation. */
  | { kind: "renewed"; validUntil: Date; keySet: string }
  | { kind: "failed"; detail: string };

export type CertificateKeeper = {
  /** When the current certificate ends (business time). */
  readonly validUntil: Date;
  /** For the next connection. */
  readonly credential: LinkCredential;
  /** Business ms until `prepare` would ask for a certificate. */
  dueInMs(now: Date): number;
  /** Call it before every connection and when due: asks for a new certificate if it is time. */
  prepare(now: Date, signal?: AbortSignal): Promise<Renewal>;
  /** A broker accepted `credential`: if it is the new one, the former is deleted. */
  accepted(): Promise<void>;
  /** A connection with `credential` failed. */
  refused(): void;
};

/** From a minute to six hours (business time): the certificate has a third of its life left. */
const renewalBackoff = { firstMs: 60_000, longestMs: 6 * hourMs };
/** A restarting broker may refuse this often; only then is the former certificate tried in turn. */
const refusalsBeforeFormer = 3;

export function createCertificateKeeper(options: {
  identity: CarIdentity;
  storage: AgentStorage;
  clock: AgentClock;
  random: () => number;
  failpoint?: Failpoint;
}): CertificateKeeper {
  const { identity, storage, clock, random } = options;
  const failpoint = options.failpoint ?? noFailpoint;
  let { present, former } = identity.link;
  let chosen = present;
  let life = readCertificateLife(present.certificate);
  let refusals = 0;
  let failures = 0;
  let pausedUntilMs = Number.NEGATIVE_INFINITY;
  let isRefusedForGood = false;
  let isKeyLost = identity.isTlsKeyLost === true;
  let running: Promise<Renewal> | null = null;

  async function keep(next: { present: LinkCredential; former: LinkCredential | null }): Promise<void> {
    await saveLinkCredentials(storage, next);
    ({ present, former } = next);
    chosen = present;
    life = readCertificateLife(present.certificate);
    refusals = 0;
    isKeyLost = false;
  }

  const isOver = (credential: LinkCredential, now: Date): boolean =>
    readCertificateLife(credential.certificate).validUntil <= now;

  function pause(): void {
    pausedUntilMs = clock.elapsedMs() + paceMs(backoffMs(failures, random, renewalBackoff), clock);
    failures += 1;
  }

  /** A car with an expired certificate asks before every connection, unless it was refused. */
  function isDue(now: Date): boolean {
    if (now < life.renewFrom && !isKeyLost) return false;
    if ((now >= life.validUntil || isKeyLost) && !isRefusedForGood) return true;
    return clock.elapsedMs() >= pausedUntilMs;
  }

  async function renew(now: Date, signal?: AbortSignal): Promise<Renewal> {
    const { vin, rootPublicKey, controlPlaneUrl, proofKey } = identity;
    const tlsKeyPem = makeTlsKey();
    const keys = {
      tlsKeyPem,
      tlsPublicKey: tlsPublicKeyOf(tlsKeyPem),
      proofKeyPem: proofKey.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    };
    const url = new URL("/api/certificate-renewals", controlPlaneUrl);
    const answer = await postJson(url, makeRenewalRequest(vin, keys, now), renewalResponseSchema, signal);
    isRefusedForGood = answer.kind === "refused";
    const problem =
      answer.kind === "answered"
        ? (explainDistrust(answer.response, { vin, rootPublicKey, tlsKeyPem }) ??
          explainUselessness(answer.response.certificate, now))
        : answer.detail;
    if (answer.kind !== "answered" || problem !== null) {
      pause();
      return { kind: "failed", detail: problem ?? "" };
    }
    const { certificate, brokerCa, keySet } = answer.response;
    failpoint("beforeCertificate");
    await keep({ present: { certificate, tlsKeyPem, brokerCa }, former: isKeyLost ? null : present });
    failpoint("afterCertificate");
    failures = 0;
    return { kind: "renewed", validUntil: life.validUntil, keySet };
  }

  function explainUselessness(certificate: string, now: Date): string | null {
    const { validUntil } = readCertificateLife(certificate);
    return (validUntil > life.validUntil || isKeyLost) && validUntil > now
      ? null
      : "the certificate ends no later than ours";
  }

  return {
    get validUntil() {
      return life.validUntil;
    },
    get credential() {
      return chosen;
    },
    dueInMs(now) {
      return Math.max(0, life.renewFrom.getTime() - now.getTime(), pausedUntilMs - clock.elapsedMs());
    },
    async prepare(now, signal) {
      let renewal: Renewal = { kind: "notDue" };
      if (running !== null || isDue(now)) {
        running ??= renew(now, signal).finally(() => {
          running = null;
        });
        renewal = await running;
      }
      const isFormersTurn = refusals >= refusalsBeforeFormer && refusals % 2 === 1;
      chosen = former !== null && isFormersTurn && !isOver(former, now) ? former : present;
      return renewal;
    },
    async accepted() {
      refusals = 0;
      if (former === null) return;
      // The broker accepts the old one and not the new: the new one is useless, and another is requested later.
      if (chosen === former) pause();
      await keep({ present: chosen, former: null });
    },
    refused() {
      refusals += 1;
    },
  };
}
