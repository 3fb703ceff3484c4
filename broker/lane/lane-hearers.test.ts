import { once } from "node:events";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { generate, type IPublishPacket, type Packet } from "mqtt-packet";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { BrokerOptions } from "../broker.ts";
import { createAuthority, type TestAuthority } from "../testing/certificates.ts";
import { passwords, type RunningBroker, startBroker, testVin } from "../testing/fleet.ts";
import { connectPacket, converse, openRaw, type RawConnection } from "../testing/raw-connection.ts";

let authority: TestAuthority;
let server: { key: string; cert: string };
beforeAll(async () => {
  authority = await createAuthority("car CA");
  server = await authority.issue({ subject: "CN=broker", usage: "server" });
});

let running: RunningBroker | undefined;
afterEach(() => running?.broker.stop());

const endless = { perS: 1e12, burst: 1e12 };

async function start(limits: BrokerOptions["limits"] = {}): Promise<RunningBroker> {
  running = await startBroker({
    tls: { host: "127.0.0.1", port: 0, ...server, clientCa: authority.pem },
    limits: { carMessages: endless, carBytes: endless, ...limits },
  });
  return running;
}

const asControlPlane = (clientId: string) =>
  connectPacket(testVin(0), {
    clientId,
    username: "control-plane",
    password: Buffer.from(passwords.controlPlanePassword),
  });

async function openControlPlane(port: number, clientId = "control-plane-1"): Promise<RawConnection> {
  return greet(await openRaw(port), asControlPlane(clientId));
}

async function openCar(port: number, vin: Vin): Promise<RawConnection> {
  return greet(await openRaw(port), connectPacket(vin));
}

async function greet(raw: RawConnection, hello: Packet): Promise<RawConnection> {
  raw.send(hello);
  expect(await raw.next()).toMatchObject({ cmd: "connack", returnCode: 0 });
  return raw;
}

async function subscribe(raw: RawConnection, topic: string, qos: 0 | 1): Promise<void> {
  raw.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos }] });
  expect(await raw.next()).toMatchObject({ cmd: "suback", granted: [qos] });
}

function message(topic: string, payload: string, changes: Partial<IPublishPacket> = {}): IPublishPacket {
  return { cmd: "publish", topic, payload, qos: 0, messageId: 7, dup: false, retain: false, ...changes };
}

async function nextMessage(raw: RawConnection): Promise<IPublishPacket> {
  const packet = await raw.next();
  if (packet?.cmd !== "publish") throw new Error(`no message but ${packet?.cmd ?? "an end"}`);
  return packet;
}

describe("subscribers to a message that went past aedes", () => {
  test.each([
    ["small", 10],
    ["too large to be gathered", 40_000],
  ])(
    "each receives it with its own QoS and packet identifier, and never as repeated (%s)",
    async (_, bytes) => {
      const { tcpPort } = await start();
      const [one, other, plain] = [
        await openControlPlane(tcpPort, "control-plane-1"),
        await openControlPlane(tcpPort, "control-plane-2"),
        await openControlPlane(tcpPort, "control-plane-3"),
      ];
      await subscribe(one, "caas/v1/+/report", 1);
      await subscribe(other, "caas/v1/+/report", 1);
      await subscribe(plain, "caas/v1/+/report", 0);
      const vin = testVin(1);
      const car = await openCar(tcpPort, vin);
      const payload = "p".repeat(bytes);
      const ids: Array<Array<number | undefined>> = [[], []];
      for (const messageId of [7, 7, 9]) {
        car.send(message(topicOf(vin, "report"), payload, { qos: 1, messageId, dup: messageId === 9 }));
        expect(await car.next()).toMatchObject({ cmd: "puback", messageId });
        for (const [index, hearer] of [one, other].entries()) {
          const heard = await nextMessage(hearer);
          expect(heard).toMatchObject({ topic: topicOf(vin, "report"), qos: 1, dup: false, retain: false });
          expect(heard.payload.toString()).toBe(payload);
          ids[index]?.push(heard.messageId);
        }
        const heard = await nextMessage(plain);
        expect(heard).toMatchObject({ qos: 0, dup: false });
        expect(heard.messageId).toBeUndefined();
        expect(heard.payload.toString()).toBe(payload);
      }
      for (const [first = 0, second, third] of ids)
        expect([second, third]).toEqual([following(first), following(following(first))]);
      // A message with QoS 0 reaches every subscriber with QoS 0.
      car.send(message(topicOf(vin, "report"), payload));
      for (const hearer of [one, other, plain])
        expect(await nextMessage(hearer)).toMatchObject({ qos: 0, topic: topicOf(vin, "report") });
      for (const { socket } of [one, other, plain, car]) socket.destroy();
    },
  );

  test("identifiers wrap from 65,535 to 1", async () => {
    const { tcpPort } = await start();
    const controlPlane = await openControlPlane(tcpPort);
    await subscribe(controlPlane, "caas/v1/+/report", 1);
    const vin = testVin(1);
    const car = await openCar(tcpPort, vin);
    const report = generate(message(topicOf(vin, "report"), "x", { qos: 1 }));
    const thousand = Buffer.concat(Array.from({ length: 1_000 }, () => report));
    let last: number | undefined;
    for (let sent = 0; sent < 66_000; sent += 1_000) {
      car.send(thousand);
      for (let n = 0; n < 1_000; n++) {
        const { messageId } = await nextMessage(controlPlane);
        if (last !== undefined) expect(messageId).toBe(following(last));
        last = messageId;
      }
      for (let n = 0; n < 1_000; n++) await car.next();
    }
    for (const { socket } of [controlPlane, car]) socket.destroy();
  });

  test("a new subscription replaces the one before; after an UNSUBACK nothing more comes", async () => {
    const { tcpPort } = await start();
    const [vin, watched] = [testVin(1), testVin(2)];
    const controlPlane = await openControlPlane(tcpPort);
    const car = await openCar(tcpPort, vin);
    const topic = topicOf(vin, "manifest");
    await subscribe(car, topic, 0);
    await subscribe(car, topic, 1);
    controlPlane.send(message(topic, "once", { qos: 1 }));
    await controlPlane.next();
    expect(await nextMessage(car)).toMatchObject({ qos: 1 });
    // Anything the broker still sent would come before its next message.
    const publishing = setInterval(() => controlPlane.send(message(topic, "many")), 0);
    car.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: [topic] });
    let packet = await car.next();
    while (packet?.cmd === "publish") packet = await car.next();
    expect(packet).toMatchObject({ cmd: "unsuback", messageId: 2 });
    clearInterval(publishing);
    const witness = await openCar(tcpPort, watched);
    await subscribe(witness, topicOf(watched, "manifest"), 0);
    controlPlane.send(message(topicOf(watched, "manifest"), "all of them are through"));
    await nextMessage(witness);
    car.send({ cmd: "pingreq" });
    expect(await car.next()).toEqual(expect.objectContaining({ cmd: "pingresp" }));
    await subscribe(car, topic, 0);
    controlPlane.send(message(topic, "again"));
    expect((await nextMessage(car)).payload.toString()).toBe("again");
    for (const { socket } of [controlPlane, car, witness]) socket.destroy();
  });

  test("messages sent together with the CONNECT come before later ones", async () => {
    const { tcpPort } = await start();
    const controlPlane = await openControlPlane(tcpPort);
    await subscribe(controlPlane, "caas/v1/+/report", 0);
    const vin = testVin(1);
    const car = await openRaw(tcpPort);
    const say = (n: number) => generate(message(topicOf(vin, "report"), String(n)));
    const hello = generate(connectPacket(vin));
    // The last message of the first piece is cut in the middle.
    const breath = Buffer.concat([hello, ...[0, 1, 2, 3].map(say)]);
    car.send(breath.subarray(0, breath.length - 5));
    await car.next();
    car.send(Buffer.concat([breath.subarray(breath.length - 5), ...[4, 5, 6].map(say)]));
    const heard: string[] = [];
    for (let n = 0; n < 7; n++) heard.push((await nextMessage(controlPlane)).payload.toString());
    expect(heard).toEqual(["0", "1", "2", "3", "4", "5", "6"]);
    for (const { socket } of [controlPlane, car]) socket.destroy();
  });

  test("a client that only publishes is alive: no keep-alive ends it", async () => {
    const { tcpPort } = await start();
    const [busy, silent] = [testVin(1), testVin(2)];
    const talker = await greet(await openRaw(tcpPort), connectPacket(busy, { keepalive: 1 }));
    const mute = await greet(await openRaw(tcpPort), connectPacket(silent, { keepalive: 1 }));
    let isCut = false;
    void mute.closed.then(() => {
      isCut = true;
    });
    while (!isCut) {
      talker.send(message(topicOf(busy, "report"), "alive", { qos: 1 }));
      expect(await talker.next()).toMatchObject({ cmd: "puback" });
    }
    expect(talker.socket.destroyed).toBe(false);
    talker.socket.destroy();
  });
});

describe("a control plane that does not read holds up the cars that publish to it, and loses none of their messages [fault 17]", () => {
  const rounds = 400; // 24 MB: more than all buffers between the two take
  const body = "x".repeat(60_000);

  async function openTls(port: number, subject: string): Promise<RawConnection> {
    const socket: Socket = connectTls({
      host: "127.0.0.1",
      port,
      ca: authority.pem,
      ...(await authority.issue({ subject })),
    });
    await once(socket, "secureConnect");
    return converse(socket);
  }

  const ways = {
    TCP: async ({ tcpPort }: RunningBroker, vin: Vin) => ({
      controlPlane: await openControlPlane(tcpPort),
      car: await openCar(tcpPort, vin),
    }),
    TLS: async ({ addresses }: RunningBroker, vin: Vin) => {
      const port = addresses.tlsPort ?? 0;
      const controlPlane = await openTls(port, "CN=control-plane,OU=control-plane");
      const car = await openTls(port, `CN=${vin}`);
      return {
        controlPlane: await greet(controlPlane, asControlPlane("control-plane-1")),
        car: await greet(car, connectPacket(vin)),
      };
    },
  };

  test.each(["TCP", "TLS"] as const)(
    "when it reads on, everything comes in order (%s)",
    async (way) => {
      const vin = testVin(1);
      const { controlPlane, car } = await ways[way](await start(), vin);
      await subscribe(controlPlane, "caas/v1/+/report", 1);
      // Another subscriber receives the same at once: messages waiting for the first must not get the other's identifiers.
      const other = await openControlPlane(running?.tcpPort ?? 0, "control-plane-2");
      await subscribe(other, "caas/v1/+/report", 1);
      controlPlane.socket.pause();
      // Small ones behind each large one, so that many packets share a chunk.
      for (let round = 0; round < rounds; round++)
        car.send(
          Buffer.concat(
            [body, "a", "b", "c"].map((payload, index) =>
              generate(message(topicOf(vin, "report"), `${round * 4 + index} ${payload}`, { qos: 1 })),
            ),
          ),
        );
      // The car is held up: the broker stops reading from it, although it could.
      const held = car.socket.writableLength;
      for (let turns = 0; turns < 50; turns++) {
        const passer = await openCar(running?.tcpPort ?? 0, testVin(2 + turns));
        passer.socket.destroy();
      }
      expect(held).toBeGreaterThan(0);
      expect(car.socket.writableLength).toBeGreaterThan(0);
      controlPlane.socket.resume();
      let last: number | undefined;
      for (let n = 0; n < rounds * 4; n++) {
        const { payload, messageId } = await nextMessage(controlPlane);
        expect(Number.parseInt(payload.toString(), 10)).toBe(n);
        if (last !== undefined) expect(messageId).toBe(following(last));
        last = messageId;
      }
      for (const { socket } of [controlPlane, other, car]) socket.destroy();
    },
    90_000,
  );

  test("when it disconnects instead, they go on", async () => {
    const vin = testVin(1);
    const { controlPlane, car } = await ways.TCP(await start(), vin);
    await subscribe(controlPlane, "caas/v1/+/report", 0);
    controlPlane.socket.pause();
    for (let round = 0; round < rounds; round++) car.send(message(topicOf(vin, "report"), body, { qos: 0 }));
    car.send({ cmd: "pingreq" });
    const answer = car.next();
    controlPlane.socket.destroy();
    expect(await answer).toMatchObject({ cmd: "pingresp" });
    car.socket.destroy();
  });
});

function following(id: number): number {
  return id === 65_535 ? 1 : id + 1;
}
