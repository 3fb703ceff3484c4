import { afterEach, describe, expect, test } from "vitest";
import { findOrInstall, findProgram } from "../../lab/debian-packages.ts";
import { readProcessorTime } from "../../start/processes.ts";
import { type MeasuredBroker, startMosquitto, startOurBroker } from "./rival-brokers.ts";
import { measureRoundTrips } from "./round-trip.ts";

let broker: MeasuredBroker | undefined;
afterEach(async () => {
  await broker?.stop();
  broker = undefined;
});

async function measure() {
  if (broker === undefined) throw new Error("no broker");
  return measureRoundTrips({ broker, clients: 50, concurrency: 20, qos: 1, warmUpMs: 50, measureMs: 300 });
}

const mosquitto = await findOrInstall("mosquitto", "mosquitto");
const why = mosquitto.kind === "missing" ? `: ${mosquitto.explanation}` : "";

describe("the raw round trip of a manifest's and a report's bytes", () => {
  test("through our broker, with its access rules", async () => {
    broker = await startOurBroker();
    const result = await measure();
    expect(result).toMatchObject({ broker: "ours", clients: 50, concurrency: 20 });
    expect(result.roundTrips).toBeGreaterThan(20);
    expect(result.perSecond).toBeCloseTo(result.roundTrips / result.seconds);
    expect(result.p50Ms).toBeGreaterThan(0);
    expect(result.p99Ms).toBeGreaterThanOrEqual(result.p50Ms);
    expect(result.generatorCpuShare).toBeGreaterThan(0);
  });

  test.skipIf(mosquitto.kind === "missing")(
    `through Mosquitto, as the same clients see it${why}`,
    async () => {
      broker = await startMosquitto(mosquitto.kind === "found" ? mosquitto.path : "");
      const result = await measure();
      expect(result.broker).toMatch(/^mosquitto \d+\.\d+/);
      expect(result.roundTrips).toBeGreaterThan(20);
    },
  );

  test("a broker that is gone is said to be", async () => {
    broker = await startOurBroker();
    await broker.stop();
    await expect(measure()).rejects.toThrow("ECONNREFUSED");
  });
});

describe("what a measurement stands on", () => {
  test("the processor time of a process rises with its work", (context) => {
    const before = readProcessorTime(process.pid);
    if (before === null) return context.skip("there is no /proc");
    const begun = process.cpuUsage();
    while (process.cpuUsage(begun).user < 60_000) Math.hypot(1, 2);
    const rose = (readProcessorTime(process.pid)?.own ?? 0) - before.own;
    const { user, system } = process.cpuUsage(begun);
    // In steps of a tick.
    expect(rose).toBeGreaterThanOrEqual(30_000);
    expect(rose).toBeLessThanOrEqual(user + system + 30_000);
    expect(() => readProcessorTime(2 ** 22 + 1)).toThrow("ENOENT");
  });

  test("a program is found where daemons live, and a missing one comes with what to do", async () => {
    expect(await findProgram("sh")).toMatch(/\/sh$/);
    expect(await findProgram("no-such-program")).toBeNull();
    expect(await findOrInstall("sh", "dash")).toMatchObject({ kind: "found" });
  });
});
