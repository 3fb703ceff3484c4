import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBusinessTime } from "@caas/contract/business-clock.ts";
import { type Telemetry, telemetrySchema } from "@caas/contract/telemetry.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { agentClock } from "../clock/agent-clock.ts";
import { createAgentMetrics } from "../metrics.ts";
import { openDirectoryStorage } from "../storage/storage.ts";
import { createFaultyAdapter } from "../testing/faulty-adapter.ts";
import { startTestBroker } from "../testing/test-broker.ts";
import { makeTestCar } from "../testing/test-car.ts";
import { openTelemetryBuffer } from "./telemetry-buffer.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-telemetry-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const reading = (distance: number): Telemetry => ({
  at: "2026-03-01T08:00:00.000Z",
  signals: { "Vehicle.TraveledDistance": distance },
});
const distanceOf = ({ signals }: Telemetry) => signals["Vehicle.TraveledDistance"];

describe("readings that wait on disk", () => {
  const small = { segments: 3, readingsPerSegment: 2 };
  const open = async (bounds = small) => openTelemetryBuffer(await openDirectoryStorage(root), bounds);

  /** Everything that waits, in the order it would be sent. */
  async function empty(buffer: Awaited<ReturnType<typeof open>>) {
    const distances = [];
    while (buffer.length > 0) {
      distances.push(...buffer.oldest().map(distanceOf));
      await buffer.forgetOldest();
    }
    return distances;
  }

  test.each([
    { count: 0, kept: [], dropped: 0 },
    { count: 1, kept: [1], dropped: 0 },
    { count: 6, kept: [1, 2, 3, 4, 5, 6], dropped: 0 },
    { count: 7, kept: [3, 4, 5, 6, 7], dropped: 2 },
    { count: 21, kept: [17, 18, 19, 20, 21], dropped: 16 },
  ])("of $count readings the newest wait, in order, over a reboot; $dropped were dropped", async (row) => {
    const buffer = await open();
    let dropped = 0;
    for (let distance = 1; distance <= row.count; distance += 1)
      dropped += await buffer.add(reading(distance));
    expect(dropped).toBe(row.dropped);
    const rebooted = await open();
    expect(rebooted.length).toBe(row.kept.length);
    expect(await empty(rebooted)).toEqual(row.kept);
    expect((await open()).length).toBe(0);
    expect((await readdir(join(root, "telemetry")).catch(() => [])).length).toBeLessThanOrEqual(3);
  });

  test("sent readings are deleted, and later ones follow in order", async () => {
    const buffer = await open();
    for (const distance of [1, 2, 3]) await buffer.add(reading(distance));
    await buffer.forgetOldest();
    const rebooted = await open();
    for (const distance of [4, 5]) await rebooted.add(reading(distance));
    expect(await empty(await open())).toEqual([3, 4, 5]);
    const third = await open();
    await third.add(reading(6));
    expect(await empty(await open())).toEqual([6]);
  });

  test("a damaged file loses its own readings only", async () => {
    const buffer = await open();
    for (const distance of [1, 2, 3]) await buffer.add(reading(distance));
    await writeFile(join(root, "telemetry", "0.json"), "{");
    expect(await empty(await open())).toEqual([3]);
  });
});

test("a car keeps its readings while it is not connected, and sends them in order afterwards", async () => {
  const broker = await startTestBroker();
  let distance = 0;
  const storage = await openDirectoryStorage(root);
  const buffer = await openTelemetryBuffer(storage);
  for (let count = 0; count < 25; count += 1) {
    distance += 1;
    await buffer.add(reading(distance));
  }
  const metrics = createAgentMetrics();
  // A minute of business time per second: a reading per second.
  const clock = agentClock(
    formatBusinessTime({ realMs: Date.now(), businessMs: Date.parse("2026-03-01T08:00:00Z"), scale: 60 }),
  );
  const adapter = {
    ...createFaultyAdapter(),
    signals: async () => {
      distance += 1;
      return { "Vehicle.TraveledDistance": distance };
    },
  };
  const { agent, vin } = await makeTestCar(broker.url, adapter, { storage, metrics, clock });
  const connected = once(agent, "connected");
  await agent.start();
  await connected;
  const isReading = ({ topic }: { topic: string }) => topic === topicOf(vin, "telemetry");
  const isAfterBacklog = ({ topic, payload }: { topic: string; payload: string }) =>
    isReading({ topic }) && distanceOf(telemetrySchema.parse(JSON.parse(payload))) === 27;
  await broker.next(isAfterBacklog);
  await agent.stop();
  const sent = broker.messages
    .filter(isReading)
    .map(({ payload }) => distanceOf(telemetrySchema.parse(JSON.parse(payload))));
  expect(sent.slice(0, 27)).toEqual(Array.from({ length: 27 }, (_, at) => at + 1));
  expect(await metrics.registry.metrics()).toMatch(/caas_agent_telemetry_total\{result="sent"\} 2[7-9]/);
  await broker.close();
});

test("readings of a car without a broker wait on disk", async () => {
  const broker = await startTestBroker();
  await broker.close();
  const storage = await openDirectoryStorage(root);
  const clock = agentClock(
    formatBusinessTime({ realMs: Date.now(), businessMs: Date.parse("2026-03-01T08:00:00Z"), scale: 60 }),
  );
  const kept = Promise.withResolvers<void>();
  const watched = {
    ...storage,
    async write(name: string, text: string) {
      await storage.write(name, text);
      if (name.startsWith("telemetry/")) kept.resolve();
    },
  };
  const adapter = { ...createFaultyAdapter(), signals: async () => ({ "Vehicle.Speed": 3 }) };
  const { agent } = await makeTestCar(broker.url, adapter, { storage: watched, clock });
  await agent.start();
  await kept.promise;
  await agent.stop();
  expect((await openTelemetryBuffer(storage)).oldest()).toMatchObject([{ signals: { "Vehicle.Speed": 3 } }]);
});
