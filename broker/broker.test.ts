import { carPassword } from "@caas/contract/car-password.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { generate } from "mqtt-packet";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  closeOf,
  connectCar,
  connectControlPlane,
  connectTo,
  hear,
  passwords,
  type RunningBroker,
  readMetric,
  startBroker,
  subackCodes,
  testVin,
} from "./testing/fleet.ts";
import { connectPacket, namelessKeptSession, openRaw } from "./testing/raw-connection.ts";

let running: RunningBroker;
beforeAll(async () => {
  running = await startBroker();
});
afterAll(() => running.broker.stop());

describe("the vehicle and the control plane communicate [SY9]", () => {
  test("a manifest reaches its car and no other, a report reaches the control plane", async () => {
    const [one, two] = [testVin(1), testVin(2)];
    const controlPlane = await connectControlPlane(running.tcpPort);
    await controlPlane.subscribeAsync("caas/v1/+/report", { qos: 1 });
    const carOne = await connectCar(running.tcpPort, one);
    const carTwo = await connectCar(running.tcpPort, two);
    await carOne.subscribeAsync(topicOf(one, "manifest"), { qos: 1 });
    await carTwo.subscribeAsync(topicOf(two, "manifest"), { qos: 1 });
    const heardByTwo = hear(carTwo, 1);
    const heardByOne = hear(carOne, 1);
    const heardByControlPlane = hear(controlPlane, 1);

    await controlPlane.publishAsync(topicOf(one, "manifest"), "for one", { qos: 1 });
    await controlPlane.publishAsync(topicOf(two, "manifest"), "for two", { qos: 1 });
    expect(await heardByOne).toEqual([
      { topic: topicOf(one, "manifest"), payload: "for one", retain: false },
    ]);
    expect(await heardByTwo).toEqual([
      { topic: topicOf(two, "manifest"), payload: "for two", retain: false },
    ]);
    await carOne.publishAsync(topicOf(one, "report"), "applied", { qos: 1 });
    expect(await heardByControlPlane).toEqual([
      { topic: topicOf(one, "report"), payload: "applied", retain: false },
    ]);
    await Promise.all([controlPlane, carOne, carTwo].map((client) => client.endAsync()));
  });

  test("messages with and without an acknowledgement, sent at once, all arrive", async () => {
    const vins = Array.from({ length: 20 }, (_, n) => testVin(100 + n));
    const controlPlane = await connectControlPlane(running.tcpPort);
    await controlPlane.subscribeAsync({
      "caas/v1/+/report": { qos: 0 },
      "caas/v1/+/display-ack": { qos: 1 },
    });
    const heard = hear(controlPlane, vins.length * 3);
    for (const vin of vins) {
      const car = await openRaw(running.tcpPort);
      car.send(connectPacket(vin));
      await car.next();
      const message = { cmd: "publish", dup: false, retain: false } as const;
      car.send(
        Buffer.concat(
          [
            { ...message, topic: topicOf(vin, "display-ack"), payload: "1", qos: 1, messageId: 1 } as const,
            { ...message, topic: topicOf(vin, "report"), payload: "2", qos: 0 } as const,
            { ...message, topic: topicOf(vin, "report"), payload: "3", qos: 0 } as const,
          ].map((packet) => generate(packet)),
        ),
      );
      expect(await car.next()).toMatchObject({ cmd: "puback", messageId: 1 });
      car.socket.end();
    }
    const said = (await heard).map(({ topic, payload }) => `${topic} ${payload}`);
    expect(said.toSorted()).toEqual(
      vins
        .flatMap((vin) => [
          `${topicOf(vin, "display-ack")} 1`,
          `${topicOf(vin, "report")} 2`,
          `${topicOf(vin, "report")} 3`,
        ])
        .toSorted(),
    );
    await controlPlane.endAsync();
  });

  test("presence is retained, and a car that vanishes is reported offline [SY16]", async () => {
    const vin = testVin(3);
    const topic = topicOf(vin, "presence");
    const car = await connectCar(running.tcpPort, vin, {
      will: { topic, payload: "offline", qos: 1, retain: true },
    });
    await car.publishAsync(topic, "online", { qos: 1, retain: true });
    const controlPlane = await connectControlPlane(running.tcpPort);
    const heard = hear(controlPlane, 2);
    const online = hear(controlPlane, 1);
    await controlPlane.subscribeAsync("caas/v1/+/presence", { qos: 1 });
    await online;
    car.stream.destroy();
    expect(await heard).toEqual([
      { topic, payload: "online", retain: true },
      { topic, payload: "offline", retain: false },
    ]);
    await controlPlane.endAsync();
  });
});

describe("connecting on plain MQTT", () => {
  const vin = testVin(10);
  const right = carPassword(passwords.carSecret, vin);

  test.each([
    ["wrong password", { clientId: vin, username: vin, password: `${right}x` }, 4],
    [
      "another car's password",
      { clientId: vin, username: vin, password: carPassword(passwords.carSecret, testVin(11)) },
      4,
    ],
    ["no password", { clientId: vin, username: vin }, 4],
    ["nobody at all", { clientId: vin }, 4],
    ["a user name that is no VIN", { clientId: "x", username: "x", password: right }, 4],
    [
      "the control plane with a car's password",
      { clientId: "control-plane", username: "control-plane", password: right },
      4,
    ],
    ["another client id", { clientId: testVin(11), username: vin, password: right }, 2],
    [
      "the control plane under a VIN",
      { clientId: vin, username: "control-plane", password: passwords.controlPlanePassword },
      2,
    ],
    [
      "a car under the control plane's client id",
      { clientId: "control-plane", username: vin, password: right },
      2,
    ],
    [
      "keep-alive switched off [fault 18]",
      { clientId: vin, username: vin, password: right, keepalive: 0 },
      5,
    ],
    [
      "keep-alive of 18 hours [fault 18]",
      { clientId: vin, username: vin, password: right, keepalive: 65_535 },
      5,
    ],
    ["a kept session", { clientId: vin, username: vin, password: right, clean: false }, 5],
    [
      "another car's presence as will [fault 15]",
      {
        clientId: vin,
        username: vin,
        password: right,
        will: {
          topic: topicOf(testVin(11), "presence"),
          payload: Buffer.from("offline"),
          qos: 1,
          retain: true,
        },
      },
      5,
    ],
  ] as const)("%s is refused with the reason", async (_, options, code) => {
    await expect(connectTo(running.tcpPort, { ...options })).rejects.toMatchObject({ code });
  });

  test.each([1, 1200])("a keep-alive of %i s is accepted", async (keepalive) => {
    const car = await connectCar(running.tcpPort, vin, { keepalive });
    await car.endAsync();
  });

  test("a refused will is never published, however the connection ends [fault 15]", async () => {
    const victim = testVin(12);
    const topic = topicOf(victim, "presence");
    const controlPlane = await connectControlPlane(running.tcpPort);
    await controlPlane.subscribeAsync(topic, { qos: 1 });
    const heard = hear(controlPlane, 1);
    const attacker = await openRaw(running.tcpPort);
    attacker.send(
      connectPacket(vin, { will: { topic, payload: Buffer.from("offline"), qos: 1, retain: true } }),
    );
    expect(await attacker.next()).toMatchObject({ cmd: "connack", returnCode: 5 });
    await attacker.closed;
    const car = await connectCar(running.tcpPort, victim);
    await car.publishAsync(topic, "online", { qos: 1, retain: true });
    expect(await heard).toMatchObject([{ payload: "online" }]);
    await Promise.all([car.endAsync(), controlPlane.endAsync()]);
  });
});

describe("the protocol's own rules", () => {
  test.each([
    ["MQTT 5", { protocolVersion: 5 }],
    ["MQTT 3.1", { protocolId: "MQIsdp", protocolVersion: 3 }],
    ["MQTT 3.1 under the newer name", { protocolVersion: 3 }],
  ] as const)("%s is refused by its protocol level and the connection closed", async (_what, changes) => {
    const raw = await openRaw(running.tcpPort);
    raw.send(connectPacket(testVin(20), changes));
    expect(await raw.next()).toMatchObject({ cmd: "connack", returnCode: 1, sessionPresent: false });
    await raw.closed;
  });

  test.each([
    ["132, that of another broker's bridge, is refused", 132, { cmd: "connack", returnCode: 1 }],
    ["0, which no release of MQTT has, is closed without an answer", 0, undefined],
    ["6, which no release of MQTT has, is closed without an answer", 6, undefined],
  ])("the protocol level %s", async (_what, level, answer) => {
    const raw = await openRaw(running.tcpPort);
    const bytes = generate(connectPacket(testVin(20)));
    bytes[bytes.indexOf("MQTT") + "MQTT".length] = level;
    raw.send(bytes);
    const told = await raw.next();
    if (answer === undefined) expect(told).toBeUndefined();
    else expect(told).toMatchObject(answer);
    await raw.closed;
  });

  test("an empty client id with a kept session is refused with 2", async () => {
    const raw = await openRaw(running.tcpPort);
    raw.send(namelessKeptSession);
    expect(await raw.next()).toMatchObject({ cmd: "connack", returnCode: 2 });
    await raw.closed;
  });

  test("a second CONNECT on one connection ends it", async () => {
    const raw = await openRaw(running.tcpPort);
    raw.send(connectPacket(testVin(20)));
    expect(await raw.next()).toMatchObject({ cmd: "connack", returnCode: 0 });
    raw.send(connectPacket(testVin(20)));
    await raw.closed;
  });

  test("a connection that takes another one's place is counted; another car's is not [R10]", async () => {
    const vin = testVin(77);
    const takeOvers = () => readMetric(running.metricsPort, 'caas_broker_takeovers_total{identity="car"}');
    const before = await takeOvers();
    const first = await connectCar(running.tcpPort, vin);
    expect(await takeOvers()).toBe(before);
    const gone = closeOf(first);
    const second = await connectCar(running.tcpPort, vin);
    await gone;
    expect(await takeOvers()).toBe(before + 1);
    await second.endAsync();
    const third = await connectCar(running.tcpPort, testVin(78));
    await third.endAsync();
    expect(await takeOvers()).toBe(before + 1);
  });

  test("a car that connects again replaces its old connection", async () => {
    const vin = testVin(21);
    const first = await openRaw(running.tcpPort);
    first.send(connectPacket(vin));
    await first.next();
    const second = await connectCar(running.tcpPort, vin);
    await first.closed;
    expect(await subackCodes(second, [topicOf(vin, "manifest")])).toEqual([1]);
    await second.endAsync();
  });
});

describe("starting and stopping", () => {
  const options = {
    now: () => new Date(),
    tcp: { host: "127.0.0.1", port: 0 },
    passwords,
  };

  test("it refuses plain MQTT beyond loopback", async () => {
    await expect(startBroker({ ...options, tcp: { host: "0.0.0.0", port: 0 } })).rejects.toThrow(
      /loopback only/,
    );
  });

  test("it refuses the open policy beyond loopback", async () => {
    const tls = { host: "0.0.0.0", port: 0, key: "", cert: "", clientCa: "" };
    await expect(startBroker({ ...options, policy: "open", tls })).rejects.toThrow(/open policy/);
  });

  test("it refuses the fleet policy on plain MQTT without secrets", async () => {
    await expect(startBroker({ ...options, passwords: undefined })).rejects.toThrow(/secret/);
  });

  test("a port already taken fails the start and leaves nothing open", async () => {
    const taken = { host: "127.0.0.1", port: running.metricsPort };
    await expect(startBroker({ metrics: taken })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  test("stopping cuts its clients and frees its ports", async () => {
    const other = await startBroker();
    const car = await connectCar(other.tcpPort, testVin(30));
    const idle = await openRaw(other.tcpPort);
    const closed = closeOf(car);
    await other.broker.stop();
    await Promise.all([closed, idle.closed]);
    await expect(openRaw(other.tcpPort)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await other.broker.stop();
  });
});

describe("health and metrics", () => {
  const fetchPath = (path: string, init?: RequestInit) =>
    fetch(`http://127.0.0.1:${running.metricsPort}${path}`, init);

  test("health is 200 while it serves", async () => {
    const response = await fetchPath("/health");
    expect([response.status, await response.json()]).toEqual([200, { status: "ok" }]);
  });

  test("other paths and methods are refused", async () => {
    expect((await fetchPath("/")).status).toBe(404);
    expect((await fetchPath("/metrics", { method: "POST" })).status).toBe(405);
  });

  test("clients, messages, refusals and bytes are counted, and no VIN shows", async () => {
    const own = await startBroker();
    const vin = testVin(40);
    const car = await connectCar(own.tcpPort, vin);
    const read = (line: string) => readMetric(own.metricsPort, line);
    expect(await read('caas_broker_connected_clients{transport="tcp",identity="car"}')).toBe(1);
    await car.publishAsync(topicOf(vin, "report"), "x", { qos: 1 });
    expect(await read('caas_broker_messages_published_total{kind="report"}')).toBe(1);
    await subackCodes(car, ["#"]);
    expect(await read('caas_broker_subscriptions_refused_total{identity="car",reason="not-allowed"}')).toBe(
      1,
    );
    const closed = closeOf(car);
    car.publish(topicOf(vin, "manifest"), "x");
    await closed;
    expect(await read('caas_broker_messages_refused_total{reason="foreign-topic"}')).toBe(1);
    await expect(connectCar(own.tcpPort, vin, { password: "wrong" })).rejects.toThrow();
    expect(await read('caas_broker_connects_refused_total{transport="tcp",reason="credentials"}')).toBe(1);
    expect(await read('caas_broker_connects_total{transport="tcp",identity="car"}')).toBe(1);
    expect(await read('caas_broker_connected_clients{transport="tcp",identity="car"}')).toBe(0);
    expect(await read('caas_broker_bytes_total{direction="received"}')).toBeGreaterThan(100);
    expect(await read('caas_broker_bytes_total{direction="sent"}')).toBeGreaterThan(8);
    expect(await read("caas_broker_uptime_seconds")).toBeGreaterThan(0);
    expect(await read("process_cpu_seconds_total")).toBeGreaterThan(0);
    const text = await (await fetch(`http://127.0.0.1:${own.metricsPort}/metrics`)).text();
    expect(text).not.toContain(vin);
    await own.broker.stop();
  });
});

describe("the open policy", () => {
  test("every client may do anything, shared subscriptions excepted", async () => {
    const open = await startBroker({ policy: "open", passwords: undefined });
    const client = await connectTo(open.tcpPort, { clientId: "", keepalive: 0 });
    expect(await subackCodes(client, ["#", "$share/g/#"])).toEqual([1, 128]);
    const heard = hear(client, 1);
    await client.publishAsync("any/topic", "hello", { qos: 2, retain: true });
    expect(await heard).toMatchObject([{ topic: "any/topic", payload: "hello" }]);
    await client.endAsync();
    await open.broker.stop();
  });

  test("an empty client id with a kept session is refused under it too", async () => {
    const open = await startBroker({ policy: "open", passwords: undefined });
    const raw = await openRaw(open.tcpPort);
    raw.send(namelessKeptSession);
    expect(await raw.next()).toMatchObject({ cmd: "connack", returnCode: 2 });
    await raw.closed;
    await open.broker.stop();
  });
});
