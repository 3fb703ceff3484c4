import { expect, test } from "vitest";
import { explainBroken, explainLimit, type LevelResult, parseObjective } from "./objective.ts";

const level: LevelResult = {
  perSecond: 100,
  sent: 1_000,
  applied: 1_000,
  failed: 0,
  pending: 0,
  foundBusy: 100,
  achievedPerSecond: 100,
  p50Ms: 20,
  p95Ms: 80,
  p99Ms: 150,
  processors: { broker: 0.3, controlPlane: 0.5, postgres: 0.4, fleet: 0.4, driver: 0.1 },
  generatorLagMs: 5,
  machineBusy: 1.2,
};

test("an objective is a percentile or a share", () => {
  expect(parseObjective("p99=1s")).toEqual({ kind: "latency", percentile: 99, atMostMs: 1_000 });
  expect(parseObjective("p95=250ms")).toEqual({ kind: "latency", percentile: 95, atMostMs: 250 });
  expect(parseObjective("success=0.99")).toEqual({ kind: "success", atLeast: 0.99 });
  for (const text of ["p99", "p98=1s", "p99=soon", "success=2", "p99=1s=2s", "p99=0"])
    expect(parseObjective(text), text).toBeUndefined();
});

test("it is broken by a percentile above it, and by changes that never came out", () => {
  const objective = { kind: "latency", percentile: 99, atMostMs: 200 } as const;
  expect(explainBroken(objective, level)).toBeNull();
  expect(explainBroken(objective, { ...level, p99Ms: 201 })).toBe("p99 was 201 ms");
  expect(explainBroken(objective, { ...level, applied: 900 })).toBe("90.0 % were applied in time");
  expect(explainBroken({ kind: "success", atLeast: 0.99 }, { ...level, applied: 989 })).toContain("98.9 %");
});

test("the part that gave way is the thread without time, else the machine, else something that waits", () => {
  const using = (processors: Record<string, number>) => ({ ...level, processors });
  expect(explainLimit(using({ controlPlane: 0.97, broker: 0.3 }), 8, 1)).toMatch(/^controlPlane: a thread/);
  expect(explainLimit(using({ fleet: 1.9, broker: 0.3 }), 8, 2)).toMatch(/^the simulator itself: a thread/);
  expect(explainLimit(using({ postgres: 1.2, broker: 0.4, fleet: 0.3 }), 2, 1)).toMatch(
    /^the machine: .*postgres/,
  );
  expect(explainLimit(using({ postgres: 0.2, broker: 0.1 }), 2, 1)).toMatch(/^no processor: 0\.30 of 2/);
  expect(explainLimit({ ...using({ postgres: 0.2 }), machineBusy: 1.95 }, 2, 1)).toMatch(
    /^other programs: .*0\.20/,
  );
  expect(explainLimit({ ...using({ postgres: 0.8, broker: 0.97 }), machineBusy: 1.8 }, 2, 1)).toMatch(
    /^broker: /,
  );
  expect(explainLimit({ ...using({ postgres: 1.77 }), machineBusy: 1.81 }, 2, 1)).toMatch(/^the machine: /);
  expect(explainLimit({ ...level, processors: null }, 2, 1)).toMatch(/^unknown/);
  expect(explainLimit({ ...using({ controlPlane: 0.4 }), foundBusy: 400 }, 8, 1)).toMatch(
    /^the fleet is small .*40 %/,
  );
});
