import { describe, expect, test } from "vitest";
import { nothingFound } from "./audit.ts";
import { judgeRun, type RunFindings } from "./judge-run.ts";
import { gatewayKnobs } from "./ota-plan.ts";

/** A run in which everything held and every planned fault fired. */
function sound(): RunFindings {
  return {
    report: {
      activations: 3,
      ...nothingFound,
      active: 1,
      gaveUp: 1,
      denied: 1,
      worstViolationMs: 0,
      faults: {
        dropped: 1,
        duplicated: 1,
        reordered: 1,
        delayed: 1,
        forged: 1,
        replayed: 1,
        crashes: { afterSwitch: 1 },
        kills: { "broker/by-the-clock": 1 },
        gateway: Object.fromEntries(gatewayKnobs.map((knob) => [knob, 1])),
        damages: { "entry/empty": 1 },
        lostAnswers: 1,
      },
      rare: { presumed: 1 },
      schedule: "0123456789abcdef",
    },
    offenders: [],
    troubles: [],
    plannedCrashes: new Set(["afterSwitch"]),
    missingKills: [],
    invariantSamples: 7,
    plannedRarePaths: ["presumed"],
  };
}

type Faults = RunFindings["report"]["faults"];
const withReport = (change: Partial<RunFindings["report"]>): RunFindings => ({
  ...sound(),
  report: { ...sound().report, ...change },
});
const withFaults = (change: Partial<Faults>): RunFindings =>
  withReport({ faults: { ...sound().report.faults, ...change } });

const bad: [string, RunFindings, string][] = [
  ["an offender of the audit", { ...sound(), offenders: ["stuck: a"] }, "stuck: a"],
  ["a process that ended by itself", { ...sound(), troubles: ["it ended"] }, "it ended"],
  ["a fault of the link that never happened", withFaults({ forged: 0 }), "no packet was forged"],
  ["a planned crash that never happened", withFaults({ crashes: {} }), "no car crashed at afterSwitch"],
  [
    "a planned kill that never fired",
    { ...sound(), missingKills: ["broker/x"] },
    "the planned kill broker/x never fired",
  ],
  [
    "no purchase that was repeated",
    withFaults({ lostAnswers: 0 }),
    "no purchase was repeated under its Idempotency-Key",
  ],
  [
    "a fault of the gateway that was never used",
    withFaults({ gateway: { ...sound().report.faults.gateway, dropWebhooksNext: 0 } }),
    "the gateway's fault dropWebhooksNext was never used",
  ],
  [
    "a rare path that was planned and not taken",
    withReport({ rare: {} }),
    "the rare path presumed was never taken",
  ],
  [
    "a promise that was broken for 17 minutes",
    withReport({ worstViolationMs: 1_020_000 }),
    "a promise was broken for 1020000 ms of business time, and 300000 are the most",
  ],
  [
    "promises that nobody looked at",
    { ...sound(), invariantSamples: 0 },
    "the invariants were never looked at",
  ],
  [
    "a sum that does not agree",
    withReport({ active: 0 }),
    "0 active, 1 given up, 1 denied and 0 withdrawn are not 3 activations",
  ],
];

describe("a run", () => {
  test("holds when there is nothing to say against it", () => {
    expect(judgeRun(sound())).toEqual([]);
  });

  test.each(bad)("fails by %s", (_, findings, sentence) => {
    expect(judgeRun(findings)).toEqual([sentence]);
  });
});
