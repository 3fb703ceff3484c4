import type { FailureClass } from "./retry-policy.ts";

/** What we know of a car when it reports. */
export type KnownCar = {
  manifestVersion: number;
  manifestHash: string;
  /** Of its last report that was taken: its number, when the car says it was sent, and when it was taken. */
  reportSeq: number;
  reportSentAt: Date | null;
  reportTakenAt: Date | null;
};

/** The change under way: the version that carries it, and whose it is; `null`: the plan's or a roll-out's. */
export type Attempt = {
  version: number;
  activationId: string | null;
  /** When it was first written for the car; `null`: not known. */
  since: Date | null;
};

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
  sentAt: string;
};

/** What becomes of the change under way. */
export type Verdict =
  | { kind: "none"; because: "noOutcome" | "noAttempt" | "otherVersion" | "otherContent" }
  /** Proved at `appliedAt`, the car's word kept within what can be true; `doubt`: it was far from that. */
  | { kind: "proved"; attempt: Attempt; appliedAt: Date; doubt: Doubt | null }
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
  /** It holds less than it has applied, or nothing it can tell: its disk was damaged. The next version brings all of it anew. */
  | "damaged"
  /** Its version is above ours (a restored back-up): the next one is allocated above it. */
  | "ahead"
  /** It has rolled back: the next version leaves the failed change out. */
  | "failed";

/** Why a car, or what speaks in its name, may not be what it says. */
export type Doubt =
  /** A new memory counts from the start, or two cars count with one identity. */
  | "countersDisagree"
  /** It says that it holds a version that was never near being written. */
  | "versionFarAhead"
  /** It says that it applied a version before that was written, or after its report came. */
  | "appliedAtImpossible"
  /** A message in its name was not signed by the proof key that it enrolled with. */
  | "otherProofKey";

export type Judgement =
  | { kind: "ignored"; because: "repeated" }
  /** It changes nothing, and a person hears of it. */
  | { kind: "doubted"; because: Doubt }
  /** `lacksTime`: its clock is far off, so it is given ours by what is signed anew. */
  | { kind: "taken"; verdict: Verdict; standing: Standing; lacksTime: boolean };

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** No network delays a message so long, and a healthy car has reported again by then. */
const longestDelayMs = dayMs;
/** A lie, or a clock that must be looked at; below it, two clocks that differ. */
export const clockToleranceMs = 60 * minuteMs;
/** A restored back-up forgets the versions of some days, and a car gets a few a day. */
export const mostVersionsAhead = 10_000;

/** The car is online and has answered none of the re-sends (FA6): another attempt may find it awake. */
export function judgeSilence(attempt: Attempt): { verdict: Verdict; standing: Standing; lacksTime: false } {
  return {
    lacksTime: false,
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
 * @param takenAt when the report came
 */
export function judgeReport(
  car: KnownCar,
  attempt: Attempt | null,
  said: Said,
  keySetVersion: number,
  takenAt: Date,
): Judgement {
  if (said.seq <= car.reportSeq)
    return isRepeated(car, said, takenAt)
      ? { kind: "ignored", because: "repeated" }
      : { kind: "doubted", because: "countersDisagree" };
  if (said.active.version > car.manifestVersion + mostVersionsAhead)
    return { kind: "doubted", because: "versionFarAhead" };
  const verdict = judgeOutcome(car, attempt, said, takenAt);
  const isOpen = attempt !== null && verdict.kind !== "proved";
  const standing =
    verdict.kind === "failed" ? "failed" : judgeStanding(car, isOpen, said, keySetVersion, takenAt);
  return { kind: "taken", verdict, standing, lacksTime: lacksTime(car, said, takenAt) };
}

/**
 * Whether a number that is not above the last is that of an older report: delivered twice, taken by a second replica, or
 * out of order. One car's numbers and times grow together, so a lower number with a later time comes from another
 * memory. A time in the future says nothing of an order; then, and where the other memory's clock is behind, the
 * number alone tells once no message can be that late.
 */
function isRepeated({ reportSentAt, reportTakenAt }: KnownCar, said: Said, takenAt: Date): boolean {
  const sentMs = Date.parse(said.sentAt);
  const isPlausible = sentMs <= takenAt.getTime() + clockToleranceMs;
  if (reportSentAt !== null && isPlausible && sentMs > reportSentAt.getTime()) return false;
  return reportTakenAt === null || takenAt.getTime() - reportTakenAt.getTime() <= longestDelayMs;
}

function judgeOutcome(car: KnownCar, attempt: Attempt | null, { outcome }: Said, takenAt: Date): Verdict {
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
  return { kind: "proved", attempt, ...keepWithin(outcome.appliedAt, attempt.since ?? takenAt, takenAt) };
}

/** A term begins when the car applied it, which is after it was written for the car and before the car's report came. */
function keepWithin(said: string, from: Date, until: Date): { appliedAt: Date; doubt: Doubt | null } {
  const saidMs = Date.parse(said);
  const keptMs = Math.min(Math.max(saidMs, from.getTime()), until.getTime());
  const isFar = Math.abs(saidMs - keptMs) > clockToleranceMs;
  return { appliedAt: new Date(keptMs), doubt: isFar ? "appliedAtImpossible" : null };
}

function judgeStanding(
  car: KnownCar,
  isOpen: boolean,
  said: Said,
  keySetVersion: number,
  takenAt: Date,
): Standing {
  if (said.active.version > car.manifestVersion) return "ahead";
  if (said.active.hash === car.manifestHash && !isOpen) return "holds";
  if (holdsLess(car, said) || hasLostAll(car, said, takenAt)) return "damaged";
  if (said.deferred?.version === car.manifestVersion) return "defers";
  return said.keySetVersion < keySetVersion ? "lacksKeys" : "behind";
}

/** The same version again would be no news to it. */
function holdsLess({ manifestVersion, manifestHash }: KnownCar, { active, outcome }: Said): boolean {
  return (
    outcome?.result === "applied" &&
    outcome.version === manifestVersion &&
    outcome.hash === manifestHash &&
    active.version < outcome.version
  );
}

/**
 * It did not take the newest version, which it needs now: sent again it would only repeat its failure. A car that takes
 * nothing at all is tried once in a while.
 */
function hasLostAll(
  { manifestVersion, reportTakenAt }: KnownCar,
  { active, outcome }: Said,
  takenAt: Date,
): boolean {
  return (
    active.version === 0 &&
    outcome?.result === "failed" &&
    outcome.version === manifestVersion &&
    isAgain(reportTakenAt, takenAt)
  );
}

/** Whether so much time has passed since the last report that a car may be given the same once more. */
function isAgain(reportTakenAt: Date | null, takenAt: Date): boolean {
  return reportTakenAt === null || takenAt.getTime() - reportTakenAt.getTime() > againAfterMs;
}

/** A car that was given the time and is off all the same, or takes nothing, is left alone: it would answer without end. */
const againAfterMs = minuteMs;

/** The newest manifest, signed again, tells a car the time; a car that has none yet gets it with its first. */
function lacksTime({ manifestVersion, reportTakenAt }: KnownCar, { sentAt }: Said, takenAt: Date): boolean {
  if (manifestVersion === 0 || Math.abs(Date.parse(sentAt) - takenAt.getTime()) <= clockToleranceMs)
    return false;
  return isAgain(reportTakenAt, takenAt);
}
