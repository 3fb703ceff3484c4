import type { CarKind } from "./car-kind.ts";

// The kinds of cars there are. Numbers are plausible, not measured in any fleet; a scenario may bring its own.

/** A car that works well: a change takes fractions of a second and fails now and then. */
const working = {
  applyMs: { median: 120, sigma: 0.6 },
  telemetry: true,
} as const;

export const carKinds = {
  commuter: {
    ...working,
    describes: "drives to work and back, and is parked under a network the rest of the day",
    driving: { share: 0.04, tripSeconds: 1_500 },
    connectivity: { onlineSeconds: 14_400, offlineSeconds: 20, goodbye: false },
    failures: [
      { stage: "probe", chance: 0.006, detail: "a control unit did not answer in time" },
      { stage: "staging", chance: 0.002, detail: "the flash cell could not be written" },
    ],
    reboot: { chance: 0.003, at: ["afterIntent", "afterStage", "afterSwitch", "afterHealthCheck"] },
  },
  taxi: {
    ...working,
    describes: "on the road most of the day, so a change often waits for the next stop",
    driving: { share: 0.35, tripSeconds: 25 },
    connectivity: { onlineSeconds: 1_800, offlineSeconds: 5, goodbye: false },
    failures: [{ stage: "probe", chance: 0.008, detail: "a control unit did not answer in time" }],
  },
  garageQueen: {
    ...working,
    describes: "sleeps for days, wakes for an hour",
    telemetry: false,
    connectivity: { onlineSeconds: 60, offlineSeconds: 120, goodbye: true },
    failures: [],
  },
  tunnel: {
    ...working,
    describes: "loses its network every minute or so, without a word",
    connectivity: { onlineSeconds: 45, offlineSeconds: 6, goodbye: false },
    failures: [],
  },
  flakyModem: {
    ...working,
    describes: "a modem that drops, doubles, delays and reorders packets, and loses its link",
    connectivity: { onlineSeconds: 90, offlineSeconds: 2, goodbye: false },
    link: { dropped: 0.05, duplicated: 0.03, reordered: 0.03, delayed: 0.1 },
    failures: [],
  },
  badFirmware: {
    ...working,
    describes: "of a batch whose firmware does not get on with anything new",
    failures: [
      { stage: "probe", chance: 0.6, detail: "the watchdog bit after the switch" },
      { stage: "apply", chance: 0.15, detail: "the gateway unit refused the frame" },
      { stage: "switch", chance: 0.05, detail: "the boot flag did not hold" },
      { stage: "readBack", chance: 0.05, detail: "a block reads back as zeroes" },
      { stage: "check", chance: 0.05, detail: "this hardware revision is not supported" },
    ],
    reboot: { chance: 0.3, at: ["afterStage", "afterSwitch"] },
  },
  lowBattery: {
    ...working,
    describes: "often too empty for a change",
    lowBattery: { share: 0.6, seconds: 20 },
    failures: [],
  },
  clockDrift: {
    ...working,
    describes: "a clock that is hours off and runs unevenly",
    clock: { offsetSeconds: 14_400, driftPpm: 300 },
    failures: [],
  },
  slowCar: {
    ...working,
    describes: "takes many seconds for a change and reports it as under way",
    applyMs: { median: 6_000, sigma: 0.4 },
    failures: [{ stage: "apply", chance: 0.01, detail: "an old control unit timed out" }],
  },
  malicious: {
    ...working,
    describes: "forges reports, writes where it may not, and sends too much",
    attacks: {
      everySeconds: 10,
      kinds: ["forgedReport", "garbageReport", "foreignTopic", "oversizedTelemetry"],
    },
    failures: [],
  },
  steady: {
    describes: "always there and always well: for measuring the platform and not the cars",
    applyMs: { median: 0, sigma: 0 },
    telemetry: false,
    failures: [],
  },
} as const satisfies Record<string, CarKind>;

export type CarKindName = keyof typeof carKinds;
