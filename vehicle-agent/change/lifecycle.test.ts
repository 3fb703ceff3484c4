import { describe, expect, test } from "vitest";
import {
  type EventIn,
  type LifecycleEvent,
  type LifecycleState,
  type LifecycleSteps,
  lifecycle,
  nextState,
  runLifecycle,
} from "./lifecycle.ts";

// Written again by hand, on purpose: changing a cell of the table must fail here.
// biome-ignore format: read by column
const expected: Record<LifecycleState, Partial<Record<LifecycleEvent, LifecycleState>>> = {
  idle:        { changeAccepted: "recording", intentFound: "abandoning", switchFound: "applying", failureFound: "rollingBack", deferralFound: "deferred" },
  recording:   { intentRecorded: "admitting" },
  admitting:   { admitted: "staging", rejected: "abandoning", tooLate: "abandoning" },
  staging:     { staged: "judging", stagingFailed: "abandoning" },
  judging:     { inTime: "switching", tooLate: "abandoning", stagingLost: "abandoning", obstructed: "deferring" },
  deferring:   { deferralRecorded: "deferred" },
  deferred:    { conditionsChanged: "judging", superseded: "forgetting" },
  forgetting:  { forgotten: "idle" },
  switching:   { switched: "applying", switchFailed: "rollingBack" },
  applying:    { taken: "checking", refused: "rollingBack" },
  checking:    { healthy: "committing", unhealthy: "rollingBack" },
  committing:  { committed: "idle", tooLate: "rollingBack" },
  rollingBack: { rolledBack: "abandoning" },
  abandoning:  { committed: "idle" },
};
const events = [...new Set(lifecycle.map(([, event]) => event))];
const states: readonly LifecycleState[] = [...new Set(lifecycle.map(([state]) => state))];
const pairs = states.flatMap((state) =>
  events.map((event) => ({ state, event, next: expected[state][event] })),
);

describe("the update lifecycle [SY5]", () => {
  test.each(pairs)("$state on $event: $next", ({ state, event, next }) => {
    expect(nextState(state, event)).toBe(next);
  });

  test("names no state that cannot be reached", () => {
    const reached = new Set<LifecycleState>(["idle"]);
    for (let grown = true; grown; ) {
      const before = reached.size;
      for (const [state, , next] of lifecycle) if (reached.has(state)) reached.add(next);
      grown = reached.size > before;
    }
    expect([...reached].sort()).toEqual(Object.keys(expected).sort());
  });

  test("every way to idle passes through a written outcome or gives way to a newer version, and rolling back always ends in abandoning", () => {
    expect(lifecycle.filter(([, , next]) => next === "idle")).toEqual([
      ["forgetting", "forgotten", "idle"],
      ["committing", "committed", "idle"],
      ["abandoning", "committed", "idle"],
    ]);
    expect(lifecycle.filter(([state]) => state === "rollingBack").map(([, , next]) => next)).toEqual([
      "abandoning",
    ]);
  });

  function scripted(visited: string[], changes: Partial<LifecycleSteps> = {}): LifecycleSteps {
    const visit = <E extends LifecycleEvent>(state: LifecycleState, event: E) => {
      return async (): Promise<E> => {
        visited.push(state);
        return event;
      };
    };
    return {
      recording: visit("recording", "intentRecorded"),
      admitting: visit("admitting", "admitted"),
      staging: visit("staging", "staged"),
      judging: visit("judging", "inTime"),
      deferring: visit("deferring", "deferralRecorded"),
      forgetting: visit("forgetting", "forgotten"),
      switching: visit("switching", "switched"),
      applying: visit("applying", "taken"),
      checking: visit("checking", "healthy"),
      committing: visit("committing", "committed"),
      rollingBack: visit("rollingBack", "rolledBack"),
      abandoning: visit("abandoning", "committed"),
      ...changes,
    };
  }

  test.each<{ event: EventIn<"idle">; visits: string[] }>([
    {
      event: "changeAccepted",
      visits: [
        "recording",
        "admitting",
        "staging",
        "judging",
        "switching",
        "applying",
        "checking",
        "committing",
      ],
    },
    { event: "intentFound", visits: ["abandoning"] },
    { event: "switchFound", visits: ["applying", "checking", "committing"] },
    { event: "failureFound", visits: ["rollingBack", "abandoning"] },
    { event: "deferralFound", visits: [] },
  ])("without trouble, $event visits $visits", async ({ event, visits }) => {
    const visited: string[] = [];
    await runLifecycle("idle", event, scripted(visited));
    expect(visited).toEqual(visits);
  });

  test("an obstructed change rests staged; it continues from there or is superseded, and every state is emitted", async () => {
    const visited: string[] = [];
    const entered: string[] = [];
    const onEnter = (state: LifecycleState) => void entered.push(state);
    const obstructed = scripted(visited, { judging: async () => "obstructed" });
    expect(await runLifecycle("idle", "changeAccepted", obstructed, onEnter)).toBe("deferred");
    expect(entered).toEqual(["recording", "admitting", "staging", "judging", "deferring", "deferred"]);
    expect(await runLifecycle("deferred", "conditionsChanged", obstructed)).toBe("deferred");
    expect(await runLifecycle("deferred", "conditionsChanged", scripted([]))).toBe("idle");
    expect(await runLifecycle("deferred", "superseded", scripted([]))).toBe("idle");
    expect(visited).not.toContain("switching");
  });

  test("a step that throws ends the run where it is", async () => {
    const visited: string[] = [];
    const steps = scripted(visited, {
      switching: () => Promise.reject(new Error("the disk is gone")),
    });
    await expect(runLifecycle("idle", "changeAccepted", steps)).rejects.toThrow("the disk is gone");
    expect(visited).toEqual(["recording", "admitting", "staging", "judging"]);
  });

  test("an event without a row stops the agent", async () => {
    const wrong = async (): Promise<"healthy"> => JSON.parse('"staged"');
    await expect(runLifecycle("idle", "switchFound", scripted([], { checking: wrong }))).rejects.toThrow(
      "no row for staged in checking",
    );
  });
});
