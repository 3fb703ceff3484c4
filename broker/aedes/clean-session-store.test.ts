import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  connectCar,
  connectControlPlane,
  type RunningBroker,
  startBroker,
  testVin,
} from "../testing/fleet.ts";
import { connectPacket, openRaw } from "../testing/raw-connection.ts";
import { createCleanSessionStore } from "./clean-session-store.ts";

const packet = (topic: string, text: string) => ({ topic, payload: Buffer.from(text) });

async function find(store: ReturnType<typeof createCleanSessionStore>, ...filters: string[]) {
  const found = await store.createRetainedStreamCombi(filters).toArray();
  return found.map(({ topic, payload }) => `${topic}=${payload}`).sort();
}

test("a retained message is found by its topic and by a filter, until it is emptied", async () => {
  const store = createCleanSessionStore();
  await store.storeRetained(packet("caas/v1/A/presence", "old"));
  await store.storeRetained(packet("caas/v1/A/presence", "on"));
  await store.storeRetained(packet("caas/v1/B/presence", "off"));
  expect(await find(store, "caas/v1/A/manifest", "caas/v1/A/presence")).toEqual(["caas/v1/A/presence=on"]);
  expect(await find(store, "caas/v1/+/presence")).toEqual([
    "caas/v1/A/presence=on",
    "caas/v1/B/presence=off",
  ]);
  await store.storeRetained(packet("caas/v1/A/presence", ""));
  expect(await find(store, "caas/v1/+/presence")).toEqual(["caas/v1/B/presence=off"]);
});

describe("a broker that stores presence and nothing else", () => {
  let running: RunningBroker;
  beforeEach(async () => {
    running = await startBroker();
  });
  afterEach(() => running.broker.stop());

  test("a subscriber to one car's exact topic gets its retained presence [SY16]", async () => {
    const vin = testVin(1);
    const car = await connectCar(running.tcpPort, vin);
    await car.publishAsync(`caas/v1/${vin}/presence`, "here", { qos: 1, retain: true });
    const controlPlane = await connectControlPlane(running.tcpPort);
    const heard = new Promise<string>((resolve) => {
      controlPlane.once("message", (_topic, payload) => resolve(payload.toString()));
    });
    await controlPlane.subscribeAsync(`caas/v1/${vin}/presence`, { qos: 1 });
    expect(await heard).toBe("here");
    await Promise.all([car.endAsync(), controlPlane.endAsync()]);
  });

  test("acknowledgements of messages that never existed are answered or ignored, no more [fault 10]", async () => {
    const raw = await openRaw(running.tcpPort);
    raw.send(connectPacket(testVin(2)));
    expect(await raw.next()).toMatchObject({ cmd: "connack", returnCode: 0 });
    raw.send({ cmd: "puback", messageId: 7 });
    raw.send({ cmd: "pubcomp", messageId: 7 });
    raw.send({ cmd: "pubrec", messageId: 8 });
    raw.send({ cmd: "pubrel", messageId: 9 });
    raw.send({ cmd: "pingreq" });
    const answers = [await raw.next(), await raw.next(), await raw.next()].map((answer) => answer?.cmd);
    expect(answers.toSorted()).toEqual(["pingresp", "pubcomp", "pubrel"]);
    raw.socket.destroy();
  });
});
