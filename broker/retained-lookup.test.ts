import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { lookUpOnlyRetained } from "./retained-lookup.ts";
import { connectCar, connectControlPlane, startBroker, testVin } from "./testing/fleet.ts";

function countingSource() {
  const walked: (readonly string[])[] = [];
  return {
    walked,
    createRetainedStreamCombi(topics: readonly string[]) {
      walked.push(topics);
      return Readable.from(["found"]);
    },
  };
}

test("topics that can hold nothing retained are not looked for; the others still are", async () => {
  const source = countingSource();
  lookUpOnlyRetained(source, (topic) => topic.endsWith("/presence"));
  expect(await source.createRetainedStreamCombi(["a/manifest", "a/keys"]).toArray()).toEqual([]);
  expect(source.walked).toEqual([]);
  expect(await source.createRetainedStreamCombi(["a/manifest", "a/presence"]).toArray()).toEqual(["found"]);
  expect(source.walked).toEqual([["a/presence"]]);
});

test("a persistence of another shape is left as it is", () => {
  expect(() => lookUpOnlyRetained({}, () => true)).not.toThrow();
  expect(() => lookUpOnlyRetained(undefined, () => true)).not.toThrow();
});

test("SY16: whoever asks for one car's presence by its exact topic gets the retained one", async () => {
  const running = await startBroker();
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
  await running.broker.stop();
});
