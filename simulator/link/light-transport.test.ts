import { connect as connectRaw, createServer, type Server, type Socket } from "node:net";
import { carPassword } from "@caas/contract/car-password.ts";
import { topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { TlsCredential } from "@caas/vehicle-agent/link/mqtt-transport.ts";
import type { CarLink, ConnectOptions } from "@caas/vehicle-agent/link/transport.ts";
import type { MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createAuthority } from "../../broker/testing/certificates.ts";
import {
  connectControlPlane,
  hear,
  passwords,
  type RunningBroker,
  startBroker,
  testVin,
} from "../../broker/testing/fleet.ts";
import { createKeepAliveWheel, type KeepAliveWheel, turnSeconds } from "./keep-alive-wheel.ts";
import { createLightTransport, type LightTransportOptions, loopbackAddressOf } from "./light-transport.ts";

const vin = testVin(1);
let running: RunningBroker;
let controlPlane: MqttClient;
let tls: TlsCredential;
let foreignTls: TlsCredential;
let wheel: KeepAliveWheel;
let tick: () => void;
const links: CarLink[] = [];

beforeEach(async () => {
  const authority = await createAuthority("fleet");
  const broker = await authority.issue({ subject: "CN=localhost", usage: "server" });
  const car = await authority.issue({ subject: `CN=${vin}` });
  tls = { certificate: car.cert, key: car.key, ca: authority.pem };
  foreignTls = { ...tls, ca: (await createAuthority("another")).pem };
  running = await startBroker({ tls: { host: "127.0.0.1", port: 0, ...broker, clientCa: authority.pem } });
  controlPlane = await connectControlPlane(running.tcpPort);
  wheel = createKeepAliveWheel((onTick) => {
    tick = onTick;
    return () => {
      tick = () => undefined;
    };
  });
});
afterEach(async () => {
  for (const link of links.splice(0)) link.drop();
  await controlPlane.endAsync(true);
  await running.broker.stop();
});

const ways = ["plain TCP with a password", "TLS with a certificate"] as const;
type Way = (typeof ways)[number];

function transport(way: Way, changes: Partial<LightTransportOptions> = {}) {
  const isTls = way === "TLS with a certificate";
  return createLightTransport({
    url: isTls ? `mqtts://127.0.0.1:${running.addresses.tlsPort}` : `mqtt://127.0.0.1:${running.tcpPort}`,
    username: vin,
    password: carPassword(passwords.carSecret, vin),
    tls: isTls ? tls : null,
    keepAlive: wheel,
    ...changes,
  });
}

const wanted = (changes: Partial<ConnectOptions> = {}): ConnectOptions => ({
  clientId: vin,
  will: { topic: topicOf(vin, "presence"), payload: "gone", qos: 1, retain: true },
  subscriptions: [topicOf(vin, "manifest"), topicOf(vin, "keys")],
  onMessage: () => undefined,
  signal: new AbortController().signal,
  ...changes,
});

const report = (payload = "r") =>
  ({ topic: topicOf(vin, "report"), payload, qos: 1, retain: false }) as const;

async function connected(way: Way, changes: Partial<ConnectOptions> = {}): Promise<CarLink> {
  const link = await transport(way).connect(wanted(changes));
  links.push(link);
  return link;
}

async function presences(of: Vin): Promise<() => Promise<string[]>> {
  await controlPlane.subscribeAsync(topicOf(of, "presence"), { qos: 1 });
  return async () => (await hear(controlPlane, 1)).map(({ payload }) => payload);
}

describe.each(ways)("a simulated car's link over %s [SY16]", (way) => {
  test("hears its topics and is heard, messages of many reads long included", async () => {
    const long = "x".repeat(60_000);
    const { promise: heard, resolve } = Promise.withResolvers<string[]>();
    const texts: string[] = [];
    const link = await connected(way, {
      onMessage(topic, payload) {
        texts.push(`${topic.split("/").at(-1)} ${payload.toString()}`);
        if (texts.length === 3) resolve(texts);
      },
    });
    for (const [kind, text] of [
      ["manifest", "one"],
      ["keys", long],
      ["manifest", "three"],
    ] as const)
      await controlPlane.publishAsync(topicOf(vin, kind), text, { qos: 1 });
    expect(await heard).toEqual(["manifest one", `keys ${long}`, "manifest three"]);

    await controlPlane.subscribeAsync(topicOf(vin, "report"), { qos: 1 });
    const arrived = hear(controlPlane, 2);
    await Promise.all([link.publish(report("first")), link.publish(report(long))]);
    expect((await arrived).map(({ payload }) => payload)).toEqual(["first", long]);
  });

  test("that says goodbye keeps its will to itself; one that loses power has it published", async () => {
    const next = await presences(vin);
    const polite = await connected(way);
    await polite.close();
    expect(await polite.closed).toBe("closed");
    const rude = await connected(way);
    const will = next();
    rude.drop();
    expect(await will).toEqual(["gone"]);
    expect(await rude.closed).toBe("dropped");
  });

  test("that is cut rejects what the broker has not taken, then and later", async () => {
    const link = await connected(way);
    // Beside its own topics: the broker cuts the car that tries.
    const foreign = { ...report(), topic: topicOf(testVin(2), "report") };
    await expect(link.publish(foreign)).rejects.toThrow("the broker closed the connection");
    expect(await link.closed).toBe("the broker closed the connection");
    await expect(link.publish(report())).rejects.toThrow();
    expect(wheel.members).toBe(0);
  });

  test("is none without the subscription", async () => {
    const foreign = wanted({ subscriptions: [topicOf(testVin(2), "manifest")] });
    await expect(transport(way).connect(foreign)).rejects.toThrow("the broker refused a subscription");
  });

  test("is none under another car's name", async () => {
    await expect(transport(way).connect(wanted({ clientId: testVin(2) }))).rejects.toThrow("code 2");
  });

  test("is not made once the car is told to stop", async () => {
    const before = new AbortController();
    before.abort();
    await expect(transport(way).connect(wanted({ signal: before.signal }))).rejects.toThrow("stopped");
    const during = new AbortController();
    const connecting = transport(way).connect(wanted({ signal: during.signal }));
    during.abort();
    await expect(connecting).rejects.toThrow("stopped");
  });

  test("is none where the broker is away", async () => {
    const away = transport(way);
    await running.broker.stop();
    await expect(away.connect(wanted())).rejects.toThrow("ECONNREFUSED");
  });
});

describe("what only one way has", () => {
  test("a wrong password is refused", async () => {
    const stranger = transport("plain TCP with a password", { password: "guessed" });
    await expect(stranger.connect(wanted())).rejects.toThrow("the broker refused with code 4");
  });

  test("a broker that another authority certified is not believed", async () => {
    const believer = transport("TLS with a certificate", { tls: foreignTls });
    await expect(believer.connect(wanted())).rejects.toThrow(/certificate/);
  });

  test("past the ports of one address cars connect from the next", async () => {
    expect([0, 19_999, 20_000, 59_999].map(loopbackAddressOf)).toEqual([
      undefined,
      undefined,
      "127.0.0.2",
      "127.0.0.3",
    ]);
    const far = transport("plain TCP with a password", { localAddress: loopbackAddressOf(20_000) });
    const link = await far.connect(wanted());
    await link.publish(report());
    await link.close();
  });
});

describe("keep-alive", () => {
  let silent: Server;
  const accepted: Socket[] = [];
  beforeEach(async () => {
    // Passes everything on, until it is told to swallow what the broker says.
    silent = createServer((car) => {
      const toBroker = connectRaw(running.tcpPort, "127.0.0.1");
      accepted.push(car, toBroker);
      car.on("error", () => undefined).on("data", (bytes) => toBroker.write(bytes));
      toBroker.on("error", () => undefined).on("data", (bytes) => car.write(bytes));
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  });
  afterEach(() => {
    for (const socket of accepted.splice(0)) socket.destroy();
    silent.close();
  });

  function turn(): void {
    for (let second = 0; second < turnSeconds; second += 1) tick();
  }

  test("a broker that answers pings is kept, one that fell silent is left", async () => {
    const address = silent.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const url = `mqtt://127.0.0.1:${address.port}`;
    const link = await transport("plain TCP with a password", { url }).connect(wanted());
    const [, toBroker] = accepted;
    for (let turns = 0; turns < 3; turns += 1) {
      const answered = new Promise((resolve) => toBroker?.once("data", resolve));
      turn();
      await answered;
      // The answer reaches the car before this acknowledgement does.
      await link.publish(report());
    }
    toBroker?.removeAllListeners("data").resume();
    turn();
    turn();
    expect(await link.closed).toBe("the broker fell silent");
  });

  test("the wheel turns only while it holds a timer", async () => {
    expect(wheel.members).toBe(0);
    const link = await connected("plain TCP with a password");
    expect(wheel.members).toBe(1);
    await link.close();
    expect(wheel.members).toBe(0);
  });

  test("each member beats once a turn, from a whole turn after it joined", () => {
    const beats: string[] = [];
    const leave = wheel.join(() => beats.push("first"));
    tick();
    wheel.join(() => beats.push("second"));
    for (let second = 1; second < turnSeconds; second += 1) tick();
    expect(beats).toEqual(["first"]);
    tick();
    expect(beats).toEqual(["first", "second"]);
    leave();
    leave();
    turn();
    expect(beats).toEqual(["first", "second", "second"]);
    expect(wheel.members).toBe(1);
  });
});
