import type { FailureClass } from "./retry-policy.ts";

/** What we know of a car when it reports. */
export type KnownCar = { manifestVersion: number; manifestHash: string; reportSeq: number };

/** The change under way: the version that carries it, and whose it is; `null`: the plan's or a roll-out's. */
export type Attempt = { version: number; activationId: string | null };

/** What the rules read of a report; its signature has been verified. */
export type Said = {
  seq: number;
  active: { version: number; hash: string };
  outcome:
    | { result: "applied"; version: number; hash: string; appliedAt: string }
    | { result: "failed"; version: number; reason: string; failureClass: FailureClass; detail: string }
    | null;
  deferred: { version: number } | null;
  keySetVersion: number;
};

/** What becomes of the change under way. */
export type Verdict =
  | { kind: "none"; because: "noOutcome" | "noAttempt" | "otherVersion" | "otherContent" }
  /** Proved at `appliedAt`, the car's trusted time. */
  | { kind: "proved"; attempt: Attempt; appliedAt: string }
  | { kind: "failed"; attempt: Attempt; reason: string; failureClass: FailureClass; detail: string };

/** How what the car holds compares with its newest manifest, and so what it is sent. */
export type Standing =
  /** It holds exactly that: nothing is sent, and what was ending has ended. */
  | "holds"
  /** It gets the newest version unless that is on its way already. */
  | "behind"
  /** It cannot read what was sent: keys and manifest go out again. */
  | "lacksKeys"
  /** It keeps the newest version staged until it is parked or charged: it is asked again later. */
  | "defers"
  /** Its version is above ours (a restored back-up): the next one is allocated above it. */
  | "ahead"
  /** It has rolled back: the next version leaves the failed change out. */
  | "failed";

export type Judgement =
  | { kind: "ignored"; because: "repeated" }
  | { kind: "taken"; verdict: Verdict; standing: Standing };

/** The car is online and has answered none of the re-sends (FA6): another attempt may find it awake. */
export function judgeSilence(attempt: Attempt): { verdict: Verdict; standing: Standing } {
  return {
    verdict: {
      kind: "failed",
      attempt,
      reason: "noAnswer",
      failureClass: "transient",
      detail: "the car is online and does not answer",
    },
    standing: "failed",
  };
}

/**
 * What a report means. Everything else about a report is bookkeeping.
 *
 * @param attempt the car's one change under way, if any
 * @param keySetVersion of the key set that signs what we send
 */
export function judgeReport(
  car: KnownCar,
  attempt: Attempt | null,
  said: Said,
  keySetVersion: number,
): Judgement {
  // Older or repeated: by a second delivery, a second replica, or out of order.
  if (said.seq <= car.reportSeq) return { kind: "ignored", because: "repeated" };
  const verdict = judgeOutcome(car, attempt, said);
  const isOpen = attempt !== null && verdict.kind !== "proved";
  const standing = verdict.kind === "failed" ? "failed" : judgeStanding(car, isOpen, said, keySetVersion);
  return { kind: "taken", verdict, standing };
}

function judgeOutcome(car: KnownCar, attempt: Attempt | null, { outcome }: Said): Verdict {
  if (outcome === null) return { kind: "none", because: "noOutcome" };
  if (attempt === null) return { kind: "none", because: "noAttempt" };
  // A failure counts once, against the version it names; a superseded version is no attempt.
  if (outcome.version !== attempt.version) return { kind: "none", because: "otherVersion" };
  if (outcome.result === "failed") {
    const { reason, failureClass, detail } = outcome;
    return { kind: "failed", attempt, reason, failureClass, detail };
  }
  // The number alone proves nothing: after a restored back-up the same one may mean something else.
  if (outcome.hash !== car.manifestHash) return { kind: "none", because: "otherContent" };
  return { kind: "proved", attempt, appliedAt: outcome.appliedAt };
}

function judgeStanding(car: KnownCar, isOpen: boolean, said: Said, keySetVersion: number): Standing {
  if (said.active.version > car.manifestVersion) return "ahead";
  if (said.active.hash === car.manifestHash && !isOpen) return "holds";
  if (said.deferred?.version === car.manifestVersion) return "defers";
  return said.keySetVersion < keySetVersion ? "lacksKeys" : "behind";
}
