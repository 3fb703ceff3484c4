import { topicKindsFromCar, topicKindsToCar, topicOf } from "@caas/contract/topics.ts";
import { describe, expect, test } from "vitest";
import { testVin } from "../testing/fleet.ts";
import { type Identity, isAllowedSubscription, isAllowedWill, judgePublish } from "./access.ts";

const own = testVin(1);
const other = testVin(2);
const car: Identity = { kind: "car", vin: own };
const controlPlane: Identity = { kind: "controlPlane" };
const anyone: Identity = { kind: "anyone" };

const plain = { qos: 1, retain: false } as const;
const nobodysTopics = [
  "",
  "#",
  "caas/v1/#",
  "$SYS/broker/clients",
  `caas/v1/${own}`,
  `caas/v1/${own}/`,
  `caas/v1/${own}/unknown`,
  `caas/v1/${own}/report/more`,
  `caas/v2/${own}/report`,
  ` caas/v1/${own}/report`,
  `caas/v1/${own.toLowerCase()}/report`,
  "caas/v1/NOT-A-VIN/manifest",
  "caas/v1/+/manifest",
  "caas/v1//manifest",
];

describe("what may be published [SY9, fault 15]", () => {
  test.each(topicKindsFromCar)("a car publishes its own %s", (kind) => {
    expect(judgePublish(car, { topic: topicOf(own, kind), ...plain })).toEqual({ status: "allowed", kind });
  });

  test.each(topicKindsToCar)("the control plane publishes every car's %s", (kind) => {
    expect(judgePublish(controlPlane, { topic: topicOf(other, kind), ...plain })).toEqual({
      status: "allowed",
      kind,
    });
  });

  test.each([
    ...nobodysTopics.map((topic) => [car, topic] as const),
    ...nobodysTopics.map((topic) => [controlPlane, topic] as const),
    ...topicKindsFromCar.map((kind) => [car, topicOf(other, kind)] as const),
    ...topicKindsToCar.map((kind) => [car, topicOf(own, kind)] as const),
    ...topicKindsFromCar.map((kind) => [controlPlane, topicOf(own, kind)] as const),
  ])("%j may not publish '%s'", (identity, topic) => {
    expect(judgePublish(identity, { topic, ...plain })).toEqual({
      status: "refused",
      reason: "foreign-topic",
    });
  });

  test.each([
    ["presence", 0, true, "allowed"],
    ["presence", 1, true, "allowed"],
    ["presence", 2, true, "qos-too-high"],
    ["report", 1, true, "not-retainable"],
    ["report", 2, false, "qos-too-high"],
    ["telemetry", 0, true, "not-retainable"],
    ["display-ack", 1, true, "not-retainable"],
  ] as const)("a car's %s with QoS %i, retained %s: %s", (kind, qos, retain, expected) => {
    const verdict = judgePublish(car, { topic: topicOf(own, kind), qos, retain });
    expect(verdict.status === "refused" ? verdict.reason : verdict.status).toBe(expected);
  });

  test.each(topicKindsToCar)("the control plane cannot leave a retained %s behind", (kind) => {
    expect(judgePublish(controlPlane, { topic: topicOf(own, kind), qos: 1, retain: true })).toEqual({
      status: "refused",
      reason: "not-retainable",
    });
  });
});

describe("wills [fault 15]", () => {
  test("a car's will is its own presence, retained or not", () => {
    const topic = topicOf(own, "presence");
    expect(isAllowedWill(car, { topic, qos: 1, retain: true })).toBe(true);
    expect(isAllowedWill(car, { topic, qos: 0, retain: false })).toBe(true);
    expect(isAllowedWill(car, { topic, qos: 2, retain: true })).toBe(false);
  });

  test.each([
    ["another car's presence", car, topicOf(other, "presence")],
    ["its own report", car, topicOf(own, "report")],
    ["its own manifest", car, topicOf(own, "manifest")],
    ["anything of the control plane", controlPlane, topicOf(own, "manifest")],
    ["presence from the control plane", controlPlane, topicOf(own, "presence")],
    ["$SYS under the open policy", anyone, "$SYS/x"],
  ] as const)("%s is no allowed will", (_, identity, topic) => {
    expect(isAllowedWill(identity, { topic, qos: 1, retain: false })).toBe(false);
  });
});

describe("what may be subscribed to [SY9, fault 14]", () => {
  test.each([
    ...topicKindsToCar.map((kind) => [car, topicOf(own, kind), true] as const),
    ...topicKindsFromCar.map((kind) => [car, topicOf(own, kind), false] as const),
    ...topicKindsToCar.map((kind) => [car, topicOf(other, kind), false] as const),
    ...topicKindsToCar.map((kind) => [car, `caas/v1/+/${kind}`, false] as const),
    ...topicKindsFromCar.map((kind) => [controlPlane, `caas/v1/+/${kind}`, true] as const),
    ...topicKindsFromCar.map((kind) => [controlPlane, topicOf(own, kind), true] as const),
    ...topicKindsToCar.map((kind) => [controlPlane, topicOf(own, kind), false] as const),
    ...topicKindsToCar.map((kind) => [controlPlane, `caas/v1/+/${kind}`, false] as const),
    [controlPlane, "caas/v1/+/+", false],
    [controlPlane, "+/+/+/report", false],
    [anyone, "#", true],
    [anyone, "$SYS/#", true],
  ] as const)("%j hears '%s': %s", (identity, filter, expected) => {
    expect(isAllowedSubscription(identity, filter)).toBe(expected);
  });

  test.each([
    ...["+", "+/+", `caas/v1/${own}/#`, `caas/v1/${own}/+`, "$share/g/#", ...nobodysTopics].flatMap(
      (filter) => [[car, filter] as const, [controlPlane, filter] as const],
    ),
    [car, `$share/g/caas/v1/${own}/manifest`],
    [controlPlane, "$share/g/caas/v1/+/report"],
    [anyone, "$share/g/#"],
  ] as const)("%j never hears '%s'", (identity, filter) => {
    expect(isAllowedSubscription(identity, filter)).toBe(false);
  });
});
