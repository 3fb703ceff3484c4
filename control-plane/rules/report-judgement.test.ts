import { describe, expect, test } from "vitest";
import { type Attempt, type Judgement, judgeReport, judgeSilence, type Said } from "./report-judgement.ts";

// One car whose newest manifest is version 7, with the content "new"; it held "old" before.

const at = (clock: string) => new Date(`2026-03-02T${clock}Z`);
const takenAt = at("10:00:00");
const car = {
  manifestVersion: 7,
  manifestHash: "new",
  reportSeq: 20,
  reportSentAt: at("08:59:59"),
  reportTakenAt: at("09:00:00"),
};
const keys = 3;
const ofService: Attempt = { version: 7, activationId: "an activation", since: at("08:50:00") };
const ofPlan: Attempt = { version: 7, activationId: null, since: at("08:50:00") };
const holdsNew = { version: 7, hash: "new" };
const holdsNothing = { version: 0, hash: "damaged" };
const holdsOld = { version: 6, hash: "old" };
const isAhead = { version: 9, hash: "other" };
const appliedAt = "2026-03-02T09:00:00.000Z";
const applied = (version: number, hash = "new") => ({ result: "applied", version, hash, appliedAt }) as const;
const failed = (version: number, failureClass: "transient" | "permanent" = "transient") =>
  ({ result: "failed", version, reason: "probeFailed", failureClass, detail: "said by the test" }) as const;

const none = (because: "noOutcome" | "noAttempt" | "otherVersion" | "otherContent") => ({
  kind: "none",
  because,
});
const proves = (attempt: Attempt) => ({
  kind: "proved",
  attempt,
  appliedAt: new Date(appliedAt),
  doubt: null,
});
const fails = (attempt: Attempt, failureClass: "transient" | "permanent" = "transient") => ({
  kind: "failed",
  attempt,
  reason: "probeFailed",
  failureClass,
  detail: "said by the test",
});

type Case = {
  says: string;
  attempt: Attempt | null;
  said: Partial<Said>;
  is: "repeated" | [verdict: object, standing: Extract<Judgement, { kind: "taken" }>["standing"]];
};

// biome-ignore format: one row a line
const cases: readonly Case[] = [
  // Order of reports: a number that is not above the last has no effect, whatever it says.
  { says: "the same number again",                       attempt: ofService, said: { seq: 20, active: holdsNew, outcome: applied(7) },  is: "repeated" },
  { says: "an older number",                             attempt: ofService, said: { seq: 1, active: holdsNew, outcome: applied(7) },   is: "repeated" },
  { says: "an older number of a car that is ahead",      attempt: null,      said: { seq: 1, active: isAhead },                         is: "repeated" },
  { says: "the same number again, of a failure",         attempt: ofService, said: { seq: 20, outcome: failed(7) },                     is: "repeated" },

  // Nothing is under way.
  { says: "all is as it should be",                      attempt: null,      said: { active: holdsNew, outcome: applied(7) },           is: [none("noAttempt"), "holds"] },
  { says: "the same content under an older version",     attempt: null,      said: { active: { version: 5, hash: "new" } },             is: [none("noOutcome"), "holds"] },
  { says: "it still holds the former",                   attempt: null,      said: { active: holdsOld, outcome: applied(6, "old") },    is: [none("noAttempt"), "behind"] },
  { says: "it holds nothing yet",                        attempt: null,      said: { active: { version: 0, hash: "empty" } },           is: [none("noOutcome"), "behind"] },
  { says: "it still holds the former, with old keys",    attempt: null,      said: { active: holdsOld, keySetVersion: 2 },              is: [none("noOutcome"), "lacksKeys"] },
  { says: "a failure that was counted already",          attempt: null,      said: { active: holdsNew, outcome: failed(6) },            is: [none("noAttempt"), "holds"] },
  { says: "a failure to take something out",             attempt: null,      said: { active: holdsOld, outcome: failed(7) },            is: [none("noAttempt"), "behind"] },
  { says: "a proof that comes too late: it holds what was given up", attempt: null, said: { active: { version: 6, hash: "given up" }, outcome: applied(6, "given up") }, is: [none("noAttempt"), "behind"] },
  { says: "what it should, with old keys",               attempt: null,      said: { active: holdsNew, keySetVersion: 2 },              is: [none("noOutcome"), "holds"] },

  // A change is under way.
  { says: "the service is applied",                      attempt: ofService, said: { active: holdsNew, outcome: applied(7) },           is: [proves(ofService), "holds"] },
  { says: "the plan is applied",                         attempt: ofPlan,    said: { active: holdsNew, outcome: applied(7) },           is: [proves(ofPlan), "holds"] },
  { says: "the service failed",                          attempt: ofService, said: { outcome: failed(7) },                              is: [fails(ofService), "failed"] },
  { says: "the service failed for good",                 attempt: ofService, said: { outcome: failed(7, "permanent") },                 is: [fails(ofService, "permanent"), "failed"] },
  { says: "the plan failed",                             attempt: ofPlan,    said: { outcome: failed(7) },                              is: [fails(ofPlan), "failed"] },
  { says: "the service failed, and it is ahead",         attempt: ofService, said: { active: isAhead, outcome: failed(7) },             is: [fails(ofService), "failed"] },
  { says: "nothing about it yet",                        attempt: ofService, said: {},                                                  is: [none("noOutcome"), "behind"] },
  { says: "nothing about it yet, with old keys",         attempt: ofPlan,    said: { keySetVersion: 2 },                                is: [none("noOutcome"), "lacksKeys"] },
  { says: "the outcome of the version before",           attempt: ofService, said: { outcome: applied(6, "old") },                      is: [none("otherVersion"), "behind"] },
  { says: "the failure of the version before",           attempt: ofService, said: { outcome: failed(6) },                              is: [none("otherVersion"), "behind"] },
  { says: "a version that we have not written",          attempt: ofService, said: { outcome: applied(8) },                             is: [none("otherVersion"), "behind"] },
  { says: "this version with another content",           attempt: ofService, said: { outcome: applied(7, "other") },                    is: [none("otherContent"), "behind"] },
  { says: "this content without an outcome",             attempt: ofService, said: { active: holdsNew },                                is: [none("noOutcome"), "behind"] },
  { says: "applied, and it holds something else now",    attempt: ofService, said: { active: holdsOld, outcome: applied(7) },           is: [proves(ofService), "damaged"] },
  { says: "applied before, and its slot is damaged [F2]", attempt: null,     said: { active: holdsNothing, outcome: applied(7) },       is: [none("noAttempt"), "damaged"] },
  { says: "failed before, and its slot is damaged [F2]", attempt: null,      said: { active: holdsNothing, outcome: failed(7) },        is: [none("noAttempt"), "damaged"] },
  { says: "failed before, and it has rolled back",       attempt: null,      said: { active: holdsOld, outcome: failed(7) },            is: [none("noAttempt"), "behind"] },
  { says: "a former version applied, its slot damaged",  attempt: ofService, said: { active: holdsNothing, outcome: applied(6) },       is: [none("otherVersion"), "behind"] },
  { says: "applied, and holds this version in part",     attempt: null,      said: { active: { version: 7, hash: "other" }, outcome: applied(7) }, is: [none("noAttempt"), "behind"] },
  { says: "applied, and it is ahead by now",             attempt: ofPlan,    said: { active: isAhead, outcome: applied(7) },            is: [proves(ofPlan), "ahead"] },

  // It waits to be parked or charged; no attempt is counted.
  { says: "the newest version is staged",                attempt: ofService, said: { deferred: { version: 7 } },                        is: [none("noOutcome"), "defers"] },
  { says: "the newest version is staged, with old keys", attempt: ofService, said: { deferred: { version: 7 }, keySetVersion: 2 },      is: [none("noOutcome"), "defers"] },
  { says: "a removal is staged",                         attempt: null,      said: { deferred: { version: 7 } },                        is: [none("noOutcome"), "defers"] },
  { says: "a former version is staged",                  attempt: ofService, said: { deferred: { version: 6 } },                        is: [none("noOutcome"), "behind"] },
  { says: "what it holds already is staged",             attempt: null,      said: { active: holdsNew, deferred: { version: 7 } },      is: [none("noOutcome"), "holds"] },

  // It remembers more than we do: a restored back-up.
  { says: "a version above ours",                        attempt: null,      said: { active: isAhead },                                 is: [none("noOutcome"), "ahead"] },
  { says: "a version above ours with our content",       attempt: null,      said: { active: { version: 9, hash: "new" } },             is: [none("noOutcome"), "ahead"] },
  { says: "a version above ours, a change is under way", attempt: ofService, said: { active: isAhead, outcome: applied(9, "other") },   is: [none("otherVersion"), "ahead"] },
];

describe("a report is judged", () => {
  test.each(cases)("$says", ({ attempt, said, is }) => {
    const report: Said = {
      seq: 21,
      active: holdsOld,
      outcome: null,
      deferred: null,
      keySetVersion: keys,
      sentAt: is === "repeated" ? "2026-03-02T08:59:59.000Z" : "2026-03-02T09:59:59.000Z",
      ...said,
    };
    expect(judgeReport(car, attempt, report, keys, takenAt)).toEqual(
      is === "repeated"
        ? { kind: "ignored", because: "repeated" }
        : { kind: "taken", verdict: is[0], standing: is[1], lacksTime: false },
    );
  });

  const base: Said = {
    seq: 21,
    active: holdsOld,
    outcome: null,
    deferred: null,
    keySetVersion: keys,
    sentAt: "2026-03-02T09:59:59.000Z",
  };

  test.each([
    ["1970", "1970-01-01T00:00:10.000Z", true],
    ["two days behind", "2026-02-28T10:00:00.000Z", true],
    ["three years ahead", "2029-03-02T10:00:00.000Z", true],
    ["an hour behind", "2026-03-02T09:00:00.000Z", false],
  ])(
    "of a car whose clock is at %s: it is given the time unless that is near ours [F5]",
    (_what, sentAt, lacksTime) => {
      const said = { ...base, active: holdsNew, sentAt };
      const first = { ...car, reportSentAt: null };
      expect(judgeReport(first, null, said, keys, takenAt)).toMatchObject({ standing: "holds", lacksTime });
      // It has just been given the time: it is not told again and again.
      const told = { ...first, reportTakenAt: at("09:59:30") };
      expect(judgeReport(told, null, said, keys, takenAt)).toMatchObject({ lacksTime: false });
      // It holds nothing yet: its first manifest brings the time.
      const fresh = { ...first, manifestVersion: 0 };
      expect(
        judgeReport(fresh, null, { ...said, active: { version: 0, hash: "new" } }, keys, takenAt),
      ).toMatchObject({ lacksTime: false });
    },
  );

  test("a damaged car that takes no version is given another once a minute, and not without end [F2]", () => {
    const said = { ...base, active: holdsNothing, outcome: failed(7) };
    const afterReportAt = (clock: string) =>
      judgeReport({ ...car, reportTakenAt: at(clock) }, null, said, keys, takenAt);
    expect(afterReportAt("09:59:00")).toMatchObject({ standing: "behind" });
    expect(afterReportAt("09:58:59")).toMatchObject({ standing: "damaged" });
  });

  test.each([
    {
      says: "a lower number, sent later",
      seq: 1,
      sentAt: "2026-03-02T09:30:00.000Z",
      is: "countersDisagree",
    },
    {
      says: "the same number, sent later",
      seq: 20,
      sentAt: "2026-03-02T09:00:00.000Z",
      is: "countersDisagree",
    },
    {
      says: "a lower number, sent a little in the future",
      seq: 19,
      sentAt: "2026-03-02T10:50:00.000Z",
      is: "countersDisagree",
    },
    { says: "a lower number, sent earlier", seq: 19, sentAt: "2026-03-02T08:59:00.000Z", is: "repeated" },
    {
      says: "the same number, sent at the same time",
      seq: 20,
      sentAt: "2026-03-02T08:59:59.000Z",
      is: "repeated",
    },
    {
      says: "a lower number by a clock years ahead, which tells no order",
      seq: 19,
      sentAt: "2029-03-02T09:00:00.000Z",
      is: "repeated",
    },
    {
      says: "a lower number by a clock that stands at 1970",
      seq: 1,
      sentAt: "1970-01-01T00:00:01.000Z",
      is: "repeated",
    },
  ])("$says: $is [F4, R10]", ({ seq, sentAt, is }) => {
    expect(judgeReport(car, ofService, { ...base, seq, sentAt }, keys, takenAt)).toMatchObject({
      because: is,
    });
  });

  test("a lower number more than a day after the last one, whatever its clock says, is no late message [F4]", () => {
    const said = { ...base, seq: 1, sentAt: "1970-01-01T00:00:01.000Z" };
    const judgedAt = (time: Date) => judgeReport(car, null, said, keys, time);
    expect(judgedAt(new Date("2026-03-03T09:00:00.000Z"))).toMatchObject({ because: "repeated" });
    expect(judgedAt(new Date("2026-03-03T09:00:00.001Z"))).toMatchObject({ because: "countersDisagree" });
  });

  test("a version far above ours is doubted and not followed, one above ours after a restored back-up is [R6]", () => {
    const says = (version: number) =>
      judgeReport(car, null, { ...base, active: { version, hash: "other" } }, keys, takenAt);
    expect(says(10_007)).toMatchObject({ kind: "taken", standing: "ahead" });
    expect(says(10_008)).toEqual({ kind: "doubted", because: "versionFarAhead" });
    expect(says(2_000_000_000)).toEqual({ kind: "doubted", because: "versionFarAhead" });
  });

  test.each([
    { says: "2099-01-01T00:00:00.000Z", kept: "10:00:00", doubt: "appliedAtImpossible" },
    { says: "9999-12-31T23:59:59.999Z", kept: "10:00:00", doubt: "appliedAtImpossible" },
    { says: "2020-01-01T00:00:00.000Z", kept: "08:50:00", doubt: "appliedAtImpossible" },
    { says: "2026-03-02T10:20:00.000Z", kept: "10:00:00", doubt: null },
    { says: "2026-03-02T08:20:00.000Z", kept: "08:50:00", doubt: null },
    { says: "2026-03-02T08:50:00.000Z", kept: "08:50:00", doubt: null },
    { says: "2026-03-02T09:59:59.000Z", kept: "09:59:59", doubt: null },
  ])("applied at $says, written for the car at 08:50 and heard at 10:00, counts as $kept [R1]", (row) => {
    const outcome = { result: "applied", version: 7, hash: "new", appliedAt: row.says } as const;
    const said = { ...base, active: holdsNew, outcome };
    expect(judgeReport(car, ofService, said, keys, takenAt)).toMatchObject({
      verdict: { kind: "proved", appliedAt: at(row.kept), doubt: row.doubt },
    });
  });

  test("silence is a transient failure of what is under way [FA6]", () => {
    expect(judgeSilence(ofService)).toMatchObject({
      verdict: { kind: "failed", attempt: ofService, reason: "noAnswer", failureClass: "transient" },
      standing: "failed",
    });
  });
});
