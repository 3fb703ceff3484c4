import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { topicOf } from "@caas/contract/topics.ts";
import { Aedes } from "aedes";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { defaultLimits } from "./broker.ts";
import {
  closeOf,
  connectCar,
  connectControlPlane,
  hear,
  type RunningBroker,
  readMetric,
  startBroker,
  subackCodes,
  testVin,
} from "./testing/fleet.ts";
import { connectPacket, openRaw } from "./testing/raw-connection.ts";

let running: RunningBroker;
beforeAll(async () => {
  running = await startBroker();
});
afterAll(() => running.broker.stop());

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");

const metric = (line: string) => readMetric(running.metricsPort, line);

describe("one client id cannot be taken by another identity [fault 12]", () => {
  test("car A with client id B is refused; B stays connected and is served", async () => {
    const [a, b] = [testVin(1), testVin(2)];
    const controlPlane = await connectControlPlane(running.tcpPort);
    const carB = await connectCar(running.tcpPort, b);
    await carB.subscribeAsync(topicOf(b, "manifest"), { qos: 1 });
    const attacker = await openRaw(running.tcpPort);
    attacker.send(connectPacket(a, { clientId: b }));
    expect(await attacker.next()).toMatchObject({ cmd: "connack", returnCode: 2 });
    await attacker.closed;
    const heard = hear(carB, 1);
    await controlPlane.publishAsync(topicOf(b, "manifest"), "still here", { qos: 1 });
    expect(await heard).toMatchObject([{ payload: "still here" }]);
    await Promise.all([carB.endAsync(), controlPlane.endAsync()]);
  });
});

describe("no client listens beyond its own topics [fault 14]", () => {
  test("#, +, another VIN, $share and $SYS are answered 0x80, and no data follows", async () => {
    const [own, other] = [testVin(3), testVin(4)];
    const curious = await connectCar(running.tcpPort, own);
    const refused = [
      "#",
      "+",
      "+/#",
      "caas/v1/+/manifest",
      `caas/v1/${own}/#`,
      `caas/v1/${own}/+`,
      topicOf(own, "report"),
      topicOf(other, "manifest"),
      `$share/g/${topicOf(own, "manifest")}`,
      "$SYS/#",
    ];
    expect(await subackCodes(curious, refused)).toEqual(refused.map(() => 128));
    expect(await subackCodes(curious, [topicOf(own, "manifest")])).toEqual([1]);

    const heard = hear(curious, 1);
    const controlPlane = await connectControlPlane(running.tcpPort);
    const owner = await connectCar(running.tcpPort, other);
    await owner.subscribeAsync(topicOf(other, "manifest"));
    const heardByOwner = hear(owner, 1);
    await controlPlane.publishAsync(topicOf(other, "manifest"), "secret", { qos: 1 });
    await heardByOwner;
    await controlPlane.publishAsync(topicOf(own, "manifest"), "own", { qos: 1 });
    expect(await heard).toEqual([{ topic: topicOf(own, "manifest"), payload: "own", retain: false }]);
    await Promise.all([curious, controlPlane, owner].map((client) => client.endAsync()));
  });

  test("one refused filter among allowed ones leaves the others in force", async () => {
    const vin = testVin(5);
    const raw = await openRaw(running.tcpPort);
    raw.send(connectPacket(vin));
    await raw.next();
    raw.send({
      cmd: "subscribe",
      messageId: 7,
      subscriptions: [
        { topic: topicOf(vin, "keys"), qos: 1 },
        { topic: "#", qos: 0 },
        { topic: topicOf(vin, "manifest"), qos: 0 },
      ],
    });
    expect(await raw.next()).toMatchObject({ cmd: "suback", messageId: 7, granted: [1, 128, 0] });
    raw.socket.destroy();
  });
});

describe("nothing is published or stored outside a client's own tree [fault 15]", () => {
  const [own, other] = [testVin(6), testVin(7)];

  test.each([
    ["another car's report", topicOf(other, "report"), false],
    ["another car's presence, retained", topicOf(other, "presence"), true],
    ["its own manifest", topicOf(own, "manifest"), false],
    ["its own report, retained", topicOf(own, "report"), true],
    ["a system topic", "$SYS/broker/uptime", false],
    ["a topic nobody knows, retained", "free/for/all", true],
  ])("%s: the sender is disconnected and no client gets it", async (_, topic, retain) => {
    const car = await connectCar(running.tcpPort, own);
    const closed = closeOf(car);
    const before = await metric('caas_broker_connections_cut_total{reason="message-refused"}');
    car.publish(topic, "forged", { qos: 0, retain });
    await closed;
    expect(await metric('caas_broker_connections_cut_total{reason="message-refused"}')).toBe(before + 1);

    // A stored or forwarded message would come before the honest one.
    const controlPlane = await connectControlPlane(running.tcpPort);
    const heard = hear(controlPlane, 1);
    await controlPlane.subscribeAsync(["caas/v1/+/report", "caas/v1/+/presence"], { qos: 1 });
    const honest = await connectCar(running.tcpPort, other);
    await honest.publishAsync(topicOf(other, "report"), "honest", { qos: 1 });
    expect(await heard).toMatchObject([{ payload: "honest" }]);
    await Promise.all([controlPlane.endAsync(), honest.endAsync()]);
  });

  test("messages after a refused one in the same chunk are not taken", async () => {
    const controlPlane = await connectControlPlane(running.tcpPort);
    await controlPlane.subscribeAsync("caas/v1/+/report", { qos: 1 });
    const heard = hear(controlPlane, 1);
    const raw = await openRaw(running.tcpPort);
    raw.send(connectPacket(own));
    await raw.next();
    raw.socket.cork();
    for (const [topic, payload] of [
      [topicOf(other, "report"), "forged"],
      [topicOf(own, "report"), "behind it"],
    ] as const)
      raw.send({ cmd: "publish", topic, payload, qos: 0, dup: false, retain: false });
    raw.socket.uncork();
    await raw.closed;
    const honest = await connectCar(running.tcpPort, other);
    await honest.publishAsync(topicOf(other, "report"), "honest", { qos: 1 });
    expect(await heard).toMatchObject([{ payload: "honest" }]);
    await Promise.all([controlPlane.endAsync(), honest.endAsync()]);
  });
});

describe("oversized and malformed packets [fault 10, fault 16]", () => {
  test("unknown clients claiming 256 MB each are closed at the header, in under 5 MB of memory", async () => {
    const megabyte = Buffer.alloc(1_000_000);
    const attack = async () => {
      const strangers = await Promise.all(Array.from({ length: 50 }, () => openRaw(running.tcpPort)));
      const pushed = strangers.map(({ socket, closed }) => {
        socket.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]));
        return Promise.race([closed, new Promise((resolve) => socket.write(megabyte, resolve))]);
      });
      await Promise.all(pushed);
      const memoryBytes = settledMemoryBytes();
      await Promise.all(strangers.map((stranger) => stranger.closed));
      return memoryBytes;
    };
    await attack(); // the first use of sockets and code costs memory once
    const before = settledMemoryBytes();
    for (let round = 0; round < 3; round++) expect((await attack()) - before).toBeLessThan(5_000_000);
    expect(await metric('caas_broker_connections_cut_total{reason="first-frame-too-large"}')).toBe(200);
  });

  test("incomplete packets of unknown clients hold no memory either", async () => {
    const before = settledMemoryBytes();
    // Each sends a first packet of the largest size, without its last byte.
    const strangers = await Promise.all(Array.from({ length: 100 }, () => openRaw(running.tcpPort)));
    const unfinished = Buffer.concat([Buffer.from([0x10, 0x80, 0x20]), Buffer.alloc(4095)]);
    await Promise.all(
      strangers.map(({ socket }) => new Promise((resolve) => socket.write(unfinished, resolve))),
    );
    const car = await connectCar(running.tcpPort, testVin(8));
    expect(settledMemoryBytes() - before).toBeLessThan(5_000_000);
    await car.endAsync();
    for (const { socket } of strangers) socket.destroy();
    await Promise.all(strangers.map((stranger) => stranger.closed));
  });

  test.each([
    ["a known car's message above the limit", "frame-too-large", Buffer.from([0x30, 0x81, 0x80, 0x04])],
    ["a length that never ends", "malformed-length", Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80])],
    ["a packet type that does not exist", "protocol", Buffer.from([0x00, 0x00])],
    ["a QoS that does not exist", "protocol", Buffer.from([0x36, 0x02, 0x00, 0x00])],
    ["a topic longer than its packet", "protocol", Buffer.from([0x30, 0x02, 0xff, 0xff])],
  ])("%s: that connection ends, the reason is counted, the broker serves on", async (_, reason, bytes) => {
    const line = `caas_broker_connections_cut_total{reason="${reason}"}`;
    const before = await metric(line);
    const raw = await openRaw(running.tcpPort);
    raw.send(connectPacket(testVin(9)));
    expect(await raw.next()).toMatchObject({ cmd: "connack", returnCode: 0 });
    raw.send(bytes);
    await raw.closed;
    expect(await metric(line)).toBe(before + 1);
    const car = await connectCar(running.tcpPort, testVin(9));
    await car.endAsync();
  });

  test("a message of exactly 64 KiB passes", async () => {
    const vin = testVin(9);
    const controlPlane = await connectControlPlane(running.tcpPort);
    await controlPlane.subscribeAsync("caas/v1/+/telemetry");
    const heard = hear(controlPlane, 1);
    const car = await connectCar(running.tcpPort, vin);
    const topic = topicOf(vin, "telemetry");
    const largest = "x".repeat(defaultLimits.maxFrameBytes - 2 - topic.length);
    await car.publishAsync(topic, largest, { qos: 0 });
    expect((await heard)[0]?.payload).toBe(largest);
    await Promise.all([car.endAsync(), controlPlane.endAsync()]);
  });
});

describe("a silent connection [fault 18]", () => {
  test("a connection without CONNECT is closed within 5 s, silent or with half a packet", async () => {
    expect(defaultLimits.connectTimeoutMs).toBe(5_000);
    const line = 'caas_broker_connections_cut_total{reason="connect-timeout"}';
    const before = await metric(line);
    const silent = await openRaw(running.tcpPort);
    const half = await openRaw(running.tcpPort);
    half.send(Buffer.from([0x10, 0x20, 0x00]));
    await Promise.all([silent.closed, half.closed]);
    // The client may see its end a moment before the broker has counted it.
    await vi.waitFor(async () => expect(await metric(line)).toBe(before + 2), { timeout: 10_000 });
  });
});

describe("a persistence that fails", () => {
  test("is counted, and the broker serves on", async () => {
    const donor = await Aedes.createBroker();
    const persistence: unknown = Reflect.get(donor, "persistence"); // aedes' own, in memory
    donor.close();
    Object.assign(Object(persistence), {
      subscriptionsByTopic: (topic: string) =>
        topic.endsWith("/display-ack") ? Promise.reject(new Error("the disk is gone")) : Promise.resolve([]),
    });
    const own = await startBroker({ persistence });
    const [vin, other] = [testVin(16), testVin(17)];
    const car = await connectCar(own.tcpPort, vin);
    await car.publishAsync(topicOf(vin, "display-ack"), "x", { qos: 1 });
    const controlPlane = await connectControlPlane(own.tcpPort);
    await controlPlane.subscribeAsync("caas/v1/+/report");
    const heard = hear(controlPlane, 1);
    const next = await connectCar(own.tcpPort, other);
    await next.publishAsync(topicOf(other, "report"), "x", { qos: 1 });
    expect(await heard).toMatchObject([{ topic: topicOf(other, "report") }]);
    expect(await readMetric(own.metricsPort, "caas_broker_errors_total")).toBe(1);
    await own.broker.stop();
  });
});

/** The memory in use by this process, in which the broker runs: after a collection, on and off the heap. */
function settledMemoryBytes(): number {
  if (typeof collectGarbage !== "function") throw new Error("no garbage collector to call");
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
