import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { revocationTopic } from "@caas/contract/revocation-list.ts";
import { fleetFilter, topicOf } from "@caas/contract/topics.ts";
import { Redis } from "ioredis";
import type { MqttClient } from "mqtt";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import * as z from "zod";
import { findRedis, type RedisServer, startRedis } from "../../lab/redis-server.ts";
import {
  closeOf,
  connectCar,
  connectControlPlane,
  hear,
  passwords,
  type RunningBroker,
  readMetric,
  startBroker,
  subackCodes,
  testVin,
} from "../testing/fleet.ts";
import { createRevocationSigner } from "../testing/revocation-signer.ts";
import { encodeBusMessage, encodeNewcomer } from "./bus-message.ts";

const found = await findRedis();
const why = found.kind === "missing" ? `: ${found.explanation}` : "";
const signer = createRevocationSigner();
const [vin, other] = [testVin(901), testVin(902)];

describe.skipIf(found.kind === "missing")(`several processes over Redis${why}`, () => {
  let redis: RedisServer;
  let serial = 0;
  const brokers: RunningBroker[] = [];
  const clients: MqttClient[] = [];

  beforeAll(async () => {
    redis = await startRedis(found.kind === "found" ? found.path : "");
  });
  afterAll(() => redis?.stop());
  afterEach(async () => {
    for (const client of clients.splice(0)) client.end(true);
    for (const { broker } of brokers.splice(0)) await broker.stop();
  });

  /** Two of one fleet; each test has its own prefix, so that tests do not affect each other. */
  async function startTwo(): Promise<[RunningBroker, RunningBroker]> {
    serial += 1;
    const cluster = { url: redis.url, prefix: `test${serial}` };
    const options = { cluster, rootPublicKey: signer.rootPublicKey };
    const [a, b] = [await startBroker(options), await startBroker(options)];
    brokers.push(a, b);
    for (const one of [a, b]) await ready(one);
    return [a, b];
  }

  function healthOf({ metricsPort }: Pick<RunningBroker, "metricsPort">): Promise<Response> {
    return fetch(`http://127.0.0.1:${metricsPort}/health`);
  }
  function ready(one: Pick<RunningBroker, "metricsPort">): Promise<void> {
    return vi.waitFor(async () => expect((await healthOf(one)).status).toBe(200), {
      timeout: 15_000,
      interval: 20,
    });
  }

  async function car(
    { tcpPort }: Pick<RunningBroker, "tcpPort">,
    connection = 1,
    whose = vin,
  ): Promise<MqttClient> {
    const client = await connectCar(tcpPort, whose, {
      will: {
        topic: topicOf(whose, "presence"),
        payload: Buffer.from(JSON.stringify({ state: "offline", connection })),
        qos: 1,
        retain: true,
      },
    });
    clients.push(client);
    await client.subscribeAsync(topicOf(whose, "manifest"), { qos: 1 });
    await client.publishAsync(topicOf(whose, "presence"), JSON.stringify({ state: "online", connection }), {
      qos: 1,
      retain: true,
    });
    return client;
  }

  const takeOvers = (at: RunningBroker) =>
    readMetric(at.metricsPort, 'caas_broker_takeovers_total{identity="car"}');

  async function controlPlane({ tcpPort }: RunningBroker): Promise<MqttClient> {
    const client = await connectControlPlane(tcpPort);
    clients.push(client);
    return client;
  }

  /** The newest presence of `whose`, as a control plane that connects now finds it. */
  async function retainedPresence(at: RunningBroker, whose = vin): Promise<unknown> {
    // An id of its own at each process: the word of a first reader's connection may still be on its way to the other.
    const reader = await connectControlPlane(at.tcpPort, { clientId: `control-plane-reader-${at.tcpPort}` });
    const heard = hear(reader, 1);
    await reader.subscribeAsync(topicOf(whose, "presence"), { qos: 1 });
    const [message] = await heard;
    await reader.endAsync();
    return JSON.parse(message?.payload ?? "null");
  }

  test.each([0, 1] as const)(
    "a manifest reaches a car at another process, and its report comes back (QoS %i)",
    async (qos) => {
      const [a, b] = await startTwo();
      const platform = await controlPlane(a);
      await platform.subscribeAsync(fleetFilter("report"), { qos: 1 });
      const there = await car(b);
      const manifests = hear(there, 3);
      for (const text of ["m1", "m2", "m3"])
        await platform.publishAsync(topicOf(vin, "manifest"), text, { qos });
      expect((await manifests).map(({ payload }) => payload)).toEqual(["m1", "m2", "m3"]);
      const reports = hear(platform, 2);
      for (const text of ["r1", "r2"]) await there.publishAsync(topicOf(vin, "report"), text, { qos });
      expect((await reports).map(({ payload }) => payload)).toEqual(["r1", "r2"]);
    },
  );

  test("each control plane gets a car's message once, at whichever processes they are", async () => {
    const [a, b] = await startTwo();
    const [here, there] = [
      await controlPlane(a),
      await connectControlPlane(b.tcpPort, { clientId: "control-plane-2" }),
    ];
    clients.push(there);
    for (const platform of [here, there]) await platform.subscribeAsync(fleetFilter("report"), { qos: 1 });
    const heard: string[] = [];
    for (const [name, platform] of Object.entries({ here, there }))
      platform.on("message", (_topic, payload) => heard.push(`${name} ${payload}`));
    const ends = [hear(here, 3), hear(there, 3)];
    const speaker = await car(b);
    for (const text of ["1", "2", "end"])
      await speaker.publishAsync(topicOf(vin, "report"), text, { qos: 0 });
    await Promise.all(ends);
    expect(heard.toSorted()).toEqual(["here 1", "here 2", "here end", "there 1", "there 2", "there end"]);
  });

  test("a message to a car at the same process does not go over Redis", async () => {
    const [a] = await startTwo();
    const platform = await controlPlane(a);
    const here = await car(a);
    const said = () => readMetric(a.metricsPort, 'caas_broker_redis_messages_total{what="said"}');
    const before = await said();
    const manifest = hear(here, 1);
    await platform.publishAsync(topicOf(vin, "manifest"), "m", { qos: 0 });
    expect((await manifest)[0]?.payload).toBe("m");
    expect(await said()).toBe(before);
  });

  test("the rules hold across processes: a car gets no message for another car [fault 14]", async () => {
    const [a, b] = await startTwo();
    const platform = await controlPlane(a);
    const curious = await car(b, 1, other);
    expect(await subackCodes(curious, [topicOf(vin, "manifest"), fleetFilter("report"), "#"])).toEqual([
      128, 128, 128,
    ]);
    const heard: string[] = [];
    curious.on("message", (topic) => heard.push(topic));
    const end = hear(curious, 1);
    await platform.publishAsync(topicOf(vin, "manifest"), "secret", { qos: 1 });
    await platform.publishAsync(topicOf(other, "manifest"), "own", { qos: 1 });
    await end;
    expect(heard).toEqual([topicOf(other, "manifest")]);
  });

  test("a car that moves is taken over: the old connection ends, and its late will changes nothing", async () => {
    const [a, b] = await startTwo();
    const platform = await controlPlane(a);
    await platform.subscribeAsync(fleetFilter("presence"), { qos: 1 });
    const heard: string[] = [];
    platform.on("message", (_topic, payload) => heard.push(payload.toString()));
    const before = await car(a, 1);
    const gone = closeOf(before);
    await car(b, 2);
    await gone;
    // "offline" of the first connection is published like everything else; its number says that it is outdated.
    await vi.waitFor(
      () =>
        expect(heard.toSorted()).toEqual([
          '{"state":"offline","connection":1}',
          '{"state":"online","connection":1}',
          '{"state":"online","connection":2}',
        ]),
      { timeout: 10_000 },
    );
    for (const at of [a, b]) expect(await retainedPresence(at)).toEqual({ state: "online", connection: 2 });
    const manifest = hear(clients.at(-1) ?? before, 1);
    await platform.publishAsync(topicOf(vin, "manifest"), "after the move", { qos: 0 });
    expect((await manifest)[0]?.payload).toBe("after the move");
    await vi.waitFor(async () => expect(await takeOvers(a)).toBe(1), { timeout: 10_000 });
    expect(await takeOvers(b)).toBe(0);
  });

  test("word of a car's former connection that comes late does not cut the newer one; word of a newer or an equal one does [R10]", async () => {
    const [, b] = await startTwo();
    const sayThat = async (connection: number | null) => {
      const payload = encodeNewcomer({ clientId: vin, connection });
      const message = { from: "elsewhere", topic: "$SYS/elsewhere/new/clients", qos: 0, payload } as const;
      const speaker = new Redis(redis.url);
      await speaker.publish(`test${serial}:system`, encodeBusMessage(message));
      await speaker.quit();
    };
    const here = await car(b, 2);
    await sayThat(1);
    // What Redis carries after it comes after it.
    const platform = await controlPlane(b);
    await platform.subscribeAsync(fleetFilter("presence"), { qos: 1 });
    const answer = hear(here, 1);
    await platform.publishAsync(topicOf(vin, "manifest"), "still here", { qos: 1 });
    expect((await answer)[0]?.payload).toBe("still here");
    expect([here.connected, await takeOvers(b)]).toEqual([true, 0]);
    for (const connection of [2, 3, null]) {
      const again = await car(b, 2);
      const cut = closeOf(again);
      await sayThat(connection);
      await cut;
    }
  });

  test("a list of revoked cars cuts live sessions at every process, also at one that starts later [fault 13]", async () => {
    const [a, b] = await startTwo();
    const platform = await controlPlane(a);
    const [revoked, honest] = [await car(b), await car(b, 1, other)];
    const cut = closeOf(revoked);
    for (const message of signer.messages(1, [{ vin, serialNumber: null }]))
      await platform.publishAsync(revocationTopic, message, { qos: 1 });
    await cut;
    expect(honest.connected).toBe(true);
    const late = await startBroker({
      cluster: { url: redis.url, prefix: `test${serial}` },
      rootPublicKey: signer.rootPublicKey,
    });
    brokers.push(late);
    await vi.waitFor(
      async () => expect(await readMetric(late.metricsPort, "caas_broker_revocation_list_version")).toBe(1),
      { timeout: 10_000 },
    );
    await expect(connectCar(late.tcpPort, vin)).rejects.toThrow("Not authorized");
  });

  test("Redis goes and comes back: the process stays up and reports it, and every presence is known again [fault 20]", async () => {
    const [a, b] = await startTwo();
    const platform = await controlPlane(a);
    await platform.subscribeAsync([fleetFilter("presence"), fleetFilter("report")], { qos: 1 });
    const stays = await car(b);
    const leaves = await car(b, 1, other);
    await redis.kill();
    for (const one of [a, b])
      await vi.waitFor(
        async () => {
          const health = await healthOf(one);
          expect([health.status, await health.json()]).toEqual([
            503,
            { status: "unavailable", redis: "down" },
          ]);
          expect(await readMetric(one.metricsPort, 'caas_broker_redis_up{of="cluster"}')).toBe(0);
        },
        { timeout: 10_000 },
      );
    // Cars here are served; messages that should have crossed are lost, and counted.
    await stays.publishAsync(topicOf(vin, "report"), "lost", { qos: 1 });
    expect(await readMetric(b.metricsPort, 'caas_broker_redis_messages_total{what="lost"}')).toBeGreaterThan(
      0,
    );
    const local = testVin(903);
    const here = await car(a, 1, local);
    const manifest = hear(here, 1);
    await platform.publishAsync(topicOf(local, "manifest"), "here", { qos: 0 });
    expect((await manifest)[0]?.payload).toBe("here");
    // One connects while Redis is away, one vanishes.
    const newcomer = testVin(904);
    await car(b, 7, newcomer);
    const left = closeOf(leaves);
    leaves.stream.destroy();
    await left;

    const known = new Map<string, unknown>();
    platform.on("message", (topic, payload) => {
      if (topic.endsWith("/presence")) known.set(topic, JSON.parse(payload.toString()));
    });
    await redis.restart();
    for (const one of [a, b]) await ready(one);
    await vi.waitFor(
      () =>
        expect(known).toEqual(
          new Map<string, unknown>([
            [topicOf(vin, "presence"), { state: "online", connection: 1 }],
            [topicOf(newcomer, "presence"), { state: "online", connection: 7 }],
            [topicOf(other, "presence"), { state: "offline", connection: 1 }],
          ]),
        ),
      { timeout: 10_000 },
    );
    expect(await retainedPresence(a, newcomer)).toEqual({ state: "online", connection: 7 });
    // Both directions work again.
    const again = hear(stays, 1);
    await platform.publishAsync(topicOf(vin, "manifest"), "again", { qos: 0 });
    expect((await again)[0]?.payload).toBe("again");
  });

  test("when a process is killed the others publish its cars' wills", {
    timeout: 60_000,
  }, async () => {
    const [a] = await startTwo();
    const platform = await controlPlane(a);
    await platform.subscribeAsync(fleetFilter("presence"), { qos: 1 });
    const known: string[] = [];
    platform.on("message", (_topic, payload) => known.push(payload.toString()));
    const doomed = await startProcess();
    try {
      await car(doomed, 3);
      await vi.waitFor(() => expect(known).toEqual(['{"state":"online","connection":3}']), {
        timeout: 10_000,
      });
      doomed.child.kill("SIGKILL");
      await vi.waitFor(() => expect(known.at(-1)).toBe('{"state":"offline","connection":3}'), {
        timeout: 50_000,
        interval: 100,
      });
      expect(await retainedPresence(a)).toEqual({ state: "offline", connection: 3 });
    } finally {
      doomed.child.kill("SIGKILL");
    }
  });

  /** A broker in another process, beside those of this test. */
  async function startProcess() {
    const child = spawn(process.execPath, [fileURLToPath(new URL("../main.ts", import.meta.url))], {
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        BROKER_TCP_PORT: "0",
        BROKER_CAR_SECRET: passwords.carSecret,
        BROKER_CONTROL_PLANE_PASSWORD: passwords.controlPlanePassword,
        BROKER_METRICS_PORT: "0",
        REDIS_URL: redis.url,
        BROKER_REDIS_PREFIX: `test${serial}`,
        LOG_LEVEL: "error",
      },
    });
    const [line] = await once(child.stdout, "data");
    const { addresses } = z
      .object({ addresses: z.object({ tcpPort: z.number(), metricsPort: z.number() }) })
      .parse(JSON.parse(String(line)));
    await ready(addresses);
    return { child, ...addresses };
  }

  test("a Redis that hangs is treated like one that is down [fault 20]", async () => {
    const [a] = await startTwo();
    redis.freeze();
    await vi.waitFor(async () => expect((await healthOf(a)).status).toBe(503), {
      timeout: 15_000,
      interval: 50,
    });
    redis.resume();
    await ready(a);
  });
});

test("the open policy refuses several processes", async () => {
  await expect(
    startBroker({ policy: "open", cluster: { url: "redis://127.0.0.1:1", prefix: "x" } }),
  ).rejects.toThrow("the open policy is for a single process");
});
