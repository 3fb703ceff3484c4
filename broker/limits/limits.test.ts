import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { sourceOf } from "@caas/contract/address-source.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { BrokerOptions } from "../broker.ts";
import { createMetrics } from "../metrics.ts";
import { createAuthority } from "../testing/certificates.ts";
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
} from "../testing/fleet.ts";
import { connectPacket, openRaw } from "../testing/raw-connection.ts";
import { createDoor } from "./connection-door.ts";

let running: RunningBroker | undefined;
afterEach(() => running?.broker.stop());

async function start(options: Partial<BrokerOptions>): Promise<RunningBroker> {
  running = await startBroker(options);
  return running;
}

const refused = (port: number, reason: string) =>
  readMetric(port, `caas_broker_connects_refused_total{transport="tcp",reason="${reason}"}`);
const cuts = (port: number, reason: string) =>
  readMetric(port, `caas_broker_connections_cut_total{reason="${reason}"}`);
const never = { perS: 1e-9, burst: 3 };
const endless = { perS: 1e9, burst: 1e9 };

describe("how fast and how many may connect [fault 19]", () => {
  test.each([
    ["source-connect-rate", { connectsPerSource: never, connects: endless }],
    ["connect-rate", { connectsPerSource: endless, connects: never }],
    ["too-many-unauthenticated", { maxUnauthenticated: 3 }],
  ])(
    "%s: the fourth stranger is closed at once and counted, the three before it are served",
    async (reason, limits) => {
      const { tcpPort, metricsPort } = await start({ limits });
      const three = [await openRaw(tcpPort), await openRaw(tcpPort), await openRaw(tcpPort)];
      const fourth = await openRaw(tcpPort);
      await fourth.closed;
      expect(await refused(metricsPort, reason)).toBe(1);
      const [first] = three;
      first?.send(connectPacket(testVin(1)));
      expect(await first?.next()).toMatchObject({ cmd: "connack", returnCode: 0 });
      for (const { socket } of three) socket.destroy();
    },
  );

  test("no connect rate applies to the control plane's address", async () => {
    const { tcpPort } = await start({ limits: { connects: never }, exemptAddresses: ["127.0.0.1"] });
    for (let round = 0; round < 5; round += 1) await (await connectControlPlane(tcpPort)).endAsync();
  });

  test("a full broker answers a car with CONNACK 3 and still takes the control plane", async () => {
    const { tcpPort, metricsPort } = await start({ limits: { maxConnections: 2 } });
    const cars = [await connectCar(tcpPort, testVin(1)), await connectCar(tcpPort, testVin(2))];
    await expect(connectCar(tcpPort, testVin(3))).rejects.toMatchObject({ code: 3 });
    expect(await refused(metricsPort, "too-many-connections")).toBe(1);
    const controlPlane = await connectControlPlane(tcpPort);
    await Promise.all([controlPlane, ...cars].map((client) => client.endAsync()));
    const next = await connectCar(tcpPort, testVin(3));
    await next.endAsync();
  });

  test("tokens come back with time, separately for each source", () => {
    let nowMs = 0;
    const metrics = createMetrics(0, () => nowMs);
    const limits = {
      connects: endless,
      connectsPerSource: { perS: 2, burst: 1 },
      maxConnections: 100,
      maxUnauthenticated: 100,
      connectTimeoutMs: 5_000,
    };
    const door = createDoor(limits, { exemptAddresses: new Set(), metrics, monotonicMs: () => nowMs });
    const comesFrom = (remoteAddress: string) => {
      const socket = Object.defineProperty(connectSocket({ path: "/nowhere" }), "remoteAddress", {
        value: remoteAddress,
      });
      socket.on("error", () => {});
      return door.admit(socket, "tls") !== undefined;
    };
    const [here, there] = ["192.0.2.1", "192.0.2.2"];
    expect([comesFrom(here), comesFrom(here), comesFrom(there)]).toEqual([true, false, true]);
    nowMs += 499;
    door.sweep();
    expect(comesFrom(`::ffff:${here}`)).toBe(false);
    nowMs += 1;
    expect([comesFrom(here), comesFrom(here)]).toEqual([true, false]);
  });

  test.each([
    ["192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2"],
    ["2001:db8::6", "2001:db8:0:0"],
    ["fe80::1%eth0", "fe80:0:0:0"],
    ["::1", "0:0:0:0"],
  ])("%s is counted as %s", (address, source) => {
    expect(sourceOf(address)).toBe(source);
  });
});

describe("one budget for everything before the CONNECT was accepted [fault 18]", () => {
  test("a TLS client that stops before, within or after the handshake is closed in time", async () => {
    const ca = await createAuthority("car CA");
    const server = await ca.issue({ subject: "CN=broker", usage: "server" });
    const { addresses, metricsPort } = await start({
      tls: { host: "127.0.0.1", port: 0, ...server, clientCa: ca.pem },
      limits: { connectTimeoutMs: 1_000 },
    });
    const port = addresses.tlsPort ?? 0;
    const startedAtMs = performance.now();
    const silent = connectSocket({ host: "127.0.0.1", port });
    silent.on("error", () => {});
    const leaf = await ca.issue({ subject: `CN=${testVin(1)}` });
    const { connect } = await import("node:tls");
    const shaken = connect({ host: "127.0.0.1", port, ca: ca.pem, ...leaf });
    shaken.on("error", () => {});
    await Promise.all([once(silent, "close"), once(shaken.resume(), "close")]);
    expect(performance.now() - startedAtMs).toBeLessThan(2_500);
    expect(await cuts(metricsPort, "connect-timeout")).toBe(1);
    const handshakes = 'caas_broker_connects_refused_total{transport="tls",reason="tls-handshake"}';
    expect(await readMetric(metricsPort, handshakes)).toBe(1);
  });
});

describe("a silent connection is counted as such [fault 18]", () => {
  test("also when many come at once and the event loop is held up meanwhile", async () => {
    const { tcpPort, metricsPort } = await start({ limits: { connectTimeoutMs: 500 } });
    for (let round = 1; round <= 4; round += 1) {
      const ends = Array.from({ length: 60 }, () => {
        const silent = connectSocket({ host: "127.0.0.1", port: tcpPort });
        silent.on("error", () => {});
        return once(silent.resume(), "close");
      });
      const startedAtMs = performance.now();
      while (performance.now() - startedAtMs < 30); // timers set now count from before this
      await Promise.all(ends);
      // The client may see its end a moment before the broker has counted it.
      await vi.waitFor(async () => expect(await cuts(metricsPort, "connect-timeout")).toBe(60 * round), {
        timeout: 10_000,
      });
    }
    expect(await cuts(metricsPort, "protocol")).toBe(0);
  });
});

describe("what one client may have open [fault 17]", () => {
  test("a subscription beyond the limit is answered 0x80, earlier ones stay in force", async () => {
    const { tcpPort, metricsPort } = await start({ limits: { maxSubscriptions: 2 } });
    const vin = testVin(4);
    const car = await connectCar(tcpPort, vin);
    const filters = (["manifest", "keys", "manifest", "display"] as const).map((kind) => topicOf(vin, kind));
    expect(await subackCodes(car, filters)).toEqual([1, 1, 1, 128]);
    const line = 'caas_broker_subscriptions_refused_total{identity="car",reason="too-many"}';
    expect(await readMetric(metricsPort, line)).toBe(1);
    await car.endAsync();
  });

  test("a car that takes messages and acknowledges none is cut; one that acknowledges gets them all", async () => {
    const { tcpPort, metricsPort } = await start({ limits: { maxInflight: 20 } });
    const [mute, polite] = [testVin(5), testVin(6)];
    const controlPlane = await connectControlPlane(tcpPort);
    const raw = await openRaw(tcpPort);
    raw.send(connectPacket(mute));
    await raw.next();
    raw.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [{ topic: topicOf(mute, "manifest"), qos: 1 }],
    });
    await raw.next();
    const car = await connectCar(tcpPort, polite);
    await car.subscribeAsync(topicOf(polite, "manifest"), { qos: 1 });
    const heard = hear(car, 100);
    for (let round = 0; round < 100; round += 1)
      for (const vin of [mute, polite])
        await controlPlane.publishAsync(topicOf(vin, "manifest"), String(round), { qos: 1 });
    await raw.closed;
    expect(await heard).toHaveLength(100);
    expect(await cuts(metricsPort, "inflight")).toBe(1);
    await Promise.all([car.endAsync(), controlPlane.endAsync()]);
  });

  test("messages taken with QoS 0 are never in flight", async () => {
    const { tcpPort } = await start({ limits: { maxInflight: 1 } });
    const vin = testVin(7);
    const controlPlane = await connectControlPlane(tcpPort);
    const car = await connectCar(tcpPort, vin);
    await car.subscribeAsync(topicOf(vin, "manifest"), { qos: 0 });
    const heard = hear(car, 10);
    for (let round = 0; round < 10; round += 1)
      await controlPlane.publishAsync(topicOf(vin, "manifest"), String(round), { qos: 1 });
    expect(await heard).toHaveLength(10);
    await Promise.all([car.endAsync(), controlPlane.endAsync()]);
  });
});

describe("what one car may send [fault 10]", () => {
  test.each([
    ["message-rate", { carMessages: { perS: 40, burst: 10 }, carBytes: endless }, 30, 10],
    ["byte-rate", { carMessages: endless, carBytes: { perS: 40_000, burst: 10_000 } }, 30, 1_000],
  ])(
    "%s: a burst too long is slowed down, and not a message of it is lost",
    async (limit, limits, count, size) => {
      const { tcpPort, metricsPort } = await start({ limits });
      const vin = testVin(8);
      const controlPlane = await connectControlPlane(tcpPort);
      await controlPlane.subscribeAsync("caas/v1/+/report", { qos: 1 });
      const heard = hear(controlPlane, count);
      const car = await connectCar(tcpPort, vin);
      const startedAtMs = performance.now();
      for (let round = 0; round < count; round += 1)
        car.publish(topicOf(vin, "report"), String(round).padEnd(size, "."), { qos: 0 });
      expect((await heard).map(({ payload }) => Number.parseInt(payload, 10))).toEqual(
        Array.from({ length: count }, (_, round) => round),
      );
      await car.publishAsync(topicOf(vin, "report"), "after it", { qos: 1 });
      expect(performance.now() - startedAtMs).toBeGreaterThan(400);
      expect(await readMetric(metricsPort, `caas_broker_car_pauses_total{limit="${limit}"}`)).toBe(1);
      await Promise.all([car.endAsync(), controlPlane.endAsync()]);
    },
  );

  test("a car that does not stop is cut, and no other car notices", async () => {
    const { tcpPort, metricsPort } = await start({
      limits: { carMessages: { perS: 20, burst: 20 }, evictAfterMs: 1_000 },
    });
    const [flooder, calm] = [testVin(9), testVin(10)];
    const raw = await openRaw(tcpPort);
    raw.send(connectPacket(flooder));
    await raw.next();
    const flood = Buffer.alloc(4_000, Buffer.from([0xc0, 0x00])); // PINGREQs
    raw.socket.write(flood);
    const controlPlane = await connectControlPlane(tcpPort);
    await controlPlane.subscribeAsync("caas/v1/+/report", { qos: 1 });
    const heard = hear(controlPlane, 1);
    const car = await connectCar(tcpPort, calm);
    await car.publishAsync(topicOf(calm, "report"), "in peace", { qos: 1 });
    expect(await heard).toMatchObject([{ payload: "in peace" }]);
    await raw.closed;
    expect(await cuts(metricsPort, "message-rate")).toBe(1);
    await Promise.all([car.endAsync(), controlPlane.endAsync()]);
  });

  test("no rate applies to the control plane", async () => {
    const { tcpPort } = await start({
      limits: { carMessages: never, carBytes: never, maxSubscriptions: 100, evictAfterMs: 1 },
    });
    const vin = testVin(11);
    const controlPlane = await connectControlPlane(tcpPort);
    for (let round = 0; round < 50; round += 1)
      await controlPlane.publishAsync(topicOf(vin, "manifest"), "x", { qos: 1 });
    const closed = closeOf(controlPlane);
    await controlPlane.endAsync();
    await closed;
  });
});
