import { describe, expect, test } from "vitest";
import { fleetFilter, parseTopic, qosOf, topicKindsFromCar, topicKindsToCar, topicOf } from "./topics.ts";
import { parseVin } from "./vin.ts";

const vin = parseVin("1M8GDM9AXKP042788");
const kinds = [...topicKindsToCar, ...topicKindsFromCar];

describe("topics of the fleet link [SY9]", () => {
  test.each(kinds)("%s: a topic names its car and kind", (kind) => {
    expect(topicOf(vin, kind)).toBe(`caas/v1/1M8GDM9AXKP042788/${kind}`);
    expect(parseTopic(topicOf(vin, kind))).toEqual({ vin, kind });
  });

  test("kinds that are sent again until answered, or repeated, need no acknowledgement", () => {
    expect(kinds.filter((kind) => qosOf[kind] === 0)).toEqual(["manifest", "keys", "report", "telemetry"]);
  });

  test("keys travel as their manifest does, or they could come after it", () => {
    expect(qosOf.keys).toBe(qosOf.manifest);
  });

  test("the fleet's filter is one level wide", () => {
    expect(fleetFilter("report")).toBe("caas/v1/+/report");
  });

  test.each([
    "caas/v1/+/report",
    "caas/v1/#",
    "caas/v1/1M8GDM9AXKP042788",
    "caas/v1/1M8GDM9AXKP042788/",
    "caas/v1/1M8GDM9AXKP042788/report/more",
    "caas/v1/1M8GDM9AXKP042788/report/",
    "caas/v1/1M8GDM9AXKP042788/secrets",
    "caas/v1/1M8GDM9AXKP042788/toString",
    "caas/v1/1M8GDM9AOKP042788/report",
    "caas/v1/1m8gdm9axkp042788/report",
    "caas/v2/1M8GDM9AXKP042788/report",
    "/caas/v1/1M8GDM9AXKP042788/report",
    "$SYS/caas/v1/1M8GDM9AXKP042788/report",
    "",
  ])("%s is none of ours", (topic) => {
    expect(parseTopic(topic)).toBeNull();
  });
});
