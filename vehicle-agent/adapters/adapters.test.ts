import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ManifestEntry } from "@caas/contract/manifest.ts";
import mqtt, { type MqttClient } from "mqtt";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFaultyAdapter } from "../testing/faulty-adapter.ts";
import { entry } from "../testing/test-signer.ts";
import type { AppliedConfiguration } from "./adapter.ts";
import { combineAdapters } from "./combined-adapter.ts";
import { type LocalApp, localAppsSchema } from "./local-apps.ts";
import { type LocalPort, startLocalPort } from "./local-port.ts";
import { openAdapters } from "./open-adapters.ts";
import { createProgramAdapter } from "./program-adapter.ts";

const base = entry("plataformaBase");
const seats = entry("asientosCalefactables", { configuration: { levels: 3 } });
const configuration = (version: number, entries: ManifestEntry[]): AppliedConfiguration => ({
  version,
  hash: `hash of ${version}`,
  entries,
  directory: null,
});

const closing = (client: MqttClient) => new Promise<void>((resolve) => client.once("close", () => resolve()));

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-adapters-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe("a program run with the configuration on its input", () => {
  test("receives the complete configuration, the same each time", async () => {
    const file = join(root, "given");
    const adapter = createProgramAdapter({ command: `cat >> '${file}'` });
    await adapter.apply(configuration(7, [seats, base]));
    await adapter.apply(configuration(7, [seats, base]));
    const [first, second] = (await readFile(file, "utf8")).trim().split("\n");
    expect(first).toBe(second);
    expect(JSON.parse(first ?? "")).toEqual({
      version: 7,
      hash: "hash of 7",
      entries: [seats, base],
    });
  });

  test.each([
    { command: "exit 3", words: "the program said: exit code 3" },
    { command: "echo seats do not answer >&2; exit 1", words: "the program said: seats do not answer" },
    { command: "kill -9 $$", words: "the program said: ended by SIGKILL" },
    { command: "/nowhere/at-all", words: "/nowhere/at-all" },
    // Only the end of a long output is reported.
    { command: "seq 1000 >&2; echo the end >&2; exit 1", words: "1000\nthe end" },
    // A process that the shell started holds the output open; it is ended too.
    { command: "sleep 600 & sleep 600", words: "no end within 50 ms" },
  ])("$command is not taken: $words", async ({ command, words }) => {
    const adapter = createProgramAdapter({ command, timeoutMs: words.includes("50 ms") ? 50 : 20_000 });
    await expect(adapter.apply(configuration(1, [base]))).rejects.toThrow(words);
  });

  test("one that does not read its input may still take it", async () => {
    const adapter = createProgramAdapter({ command: "exec 0<&-; exit 0" });
    const large = entry("mapa", { configuration: { text: "x".repeat(500_000) } });
    await adapter.apply(configuration(1, [large]));
  });
});

describe("several ways into one car", () => {
  test("each receives it in order, the first refusal decides, and readings of all count", async () => {
    const [one, two] = [createFaultyAdapter(), createFaultyAdapter()];
    const both = combineAdapters([one, { ...two, signals: async () => ({ "Vehicle.Speed": 3 }) }]);
    await both.apply(configuration(1, [base]));
    expect([one, two].map(({ applied }) => applied.length)).toEqual([1, 1]);
    two.faults.rejects = "no seats";
    expect(await both.check?.(configuration(2, [seats]))).toEqual({ kind: "rejected", detail: "no seats" });
    one.faults.failsToApply = 2;
    await expect(both.apply(configuration(2, [seats]))).rejects.toThrow("did not take");
    expect(two.applied.length).toBe(1);
    two.faults.unhealthy = "ill";
    expect(await both.probe()).toEqual({ healthy: false, reason: "ill" });
    let heard = 0;
    const end = both.watch?.(() => {
      heard += 1;
    });
    two.turn({ moving: true, lockedBy: "navigation" });
    one.turn({ stateOfChargePercent: 7 });
    expect(heard).toBe(2);
    expect(await both.conditions?.()).toEqual({
      moving: true,
      stateOfChargePercent: 7,
      lockedBy: "navigation",
    });
    expect(await both.signals?.()).toEqual({ "Vehicle.Speed": 3 });
    end?.();
    expect([one.watchers, two.watchers]).toEqual([0, 0]);
  });

  test("without signals anywhere there is no telemetry", () => {
    expect(combineAdapters([createFaultyAdapter()]).signals).toBeUndefined();
  });
});

describe("the local port for apps in the car", () => {
  const password = "of the seats";
  const app = (changes: Partial<LocalApp> & { name: string }): LocalApp => ({
    passwordSha256: createHash("sha256").update(password).digest("base64url"),
    reads: [],
    gives: [],
    mayLock: false,
    isDisplay: false,
    ...changes,
  });
  const apps = [
    app({ name: "seats", reads: ["asientosCalefactables"], mayLock: true }),
    app({ name: "drive", gives: ["Vehicle.IsMoving", "Vehicle.Speed"] }),
    app({ name: "screen", isDisplay: true }),
  ];
  let port: LocalPort;
  let clients: MqttClient[];
  let refusals: string[];
  beforeEach(async () => {
    refusals = [];
    clients = [];
    port = await startLocalPort({
      port: 0,
      apps,
      onRefused: (name, what) => refusals.push(`${name}: ${what}`),
    });
  });
  afterEach(async () => {
    for (const client of clients) await client.endAsync(true);
    await port.close();
  });

  async function join_(name: string, changes: mqtt.IClientOptions = {}): Promise<MqttClient> {
    const client = mqtt.connect(port.url, {
      clientId: name,
      username: name,
      password,
      reconnectPeriod: 0,
      protocolVersion: 4,
      ...changes,
    });
    clients.push(client);
    client.on("error", () => undefined);
    await Promise.race([
      new Promise<void>((resolve) => client.once("connect", () => resolve())),
      closing(client).then(() => {
        throw new Error("the port closed the connection");
      }),
    ]);
    return client;
  }

  /** Subscribes and gives the next messages, one a call. */
  async function hear(client: MqttClient, topic: string) {
    const heard: string[] = [];
    const waiting: ((text: string) => void)[] = [];
    client.on("message", (_topic, payload) => {
      const next = waiting.shift();
      if (next === undefined) heard.push(payload.toString());
      else next(payload.toString());
    });
    const granted = await client.subscribeAsync(topic, { qos: 1 }).catch(() => [{ qos: 128 }]);
    expect(granted.map(({ qos }) => qos)).toEqual([1]);
    return () =>
      new Promise<string>((resolve) => {
        const text = heard.shift();
        if (text === undefined) waiting.push(resolve);
        else resolve(text);
      });
  }

  test("an app gets its configuration, each change, and its end", async () => {
    await port.apply(configuration(1, [base, seats]));
    const next = await hear(await join_("seats"), "car/v1/configuration/asientosCalefactables");
    const { id, term } = seats;
    expect(JSON.parse(await next())).toEqual([{ id, term, configuration: { levels: 3 } }]);
    const warmer = { ...seats, configuration: { levels: 5 } };
    await port.apply(configuration(2, [base, warmer]));
    expect(JSON.parse(await next())).toEqual([{ id, term, configuration: { levels: 5 } }]);
    await port.apply(configuration(3, [base]));
    expect(await next()).toBe("");
    expect(await port.probe()).toEqual({ healthy: true });
  });

  test("every app gets the active configuration, also one that connects later", async () => {
    await port.apply(configuration(4, [seats, base]));
    const next = await hear(await join_("drive"), "car/v1/active");
    expect(JSON.parse(await next())).toEqual({
      version: 4,
      hash: "hash of 4",
      codes: ["asientosCalefactables", "plataformaBase"],
    });
  });

  test("readings become telemetry and conditions; until motion is known it counts as driving", async () => {
    expect(await port.conditions?.()).toMatchObject({ moving: true });
    const drive = await join_("drive");
    const changed = new Promise<void>((resolve) => port.watch?.(resolve));
    await drive.publishAsync("car/v1/signals/Vehicle.IsMoving", "false", { qos: 1 });
    await changed;
    expect(await port.conditions?.()).toMatchObject({ moving: false });
    await drive.publishAsync("car/v1/signals/Vehicle.Speed", "30.5", { qos: 1 });
    expect(await port.signals?.()).toEqual({ "Vehicle.IsMoving": false, "Vehicle.Speed": 30.5 });
    expect(await port.conditions?.()).toMatchObject({ moving: true });
  });

  test("a lock is held until it is released, its holder disconnects, or its time is over", async () => {
    const seatsApp = await join_("seats");
    const next = await hear(seatsApp, "car/v1/lock");
    expect(JSON.parse(await next())).toEqual({ heldBy: [] });
    const held = async () => [JSON.parse(await next()).heldBy, (await port.conditions?.())?.lockedBy];
    await seatsApp.publishAsync("car/v1/lock/request", '{"seconds":3600}', { qos: 1 });
    expect(await held()).toEqual([["seats"], "seats"]);
    await seatsApp.publishAsync("car/v1/lock/release", "", { qos: 1 });
    expect(await held()).toEqual([[], null]);
    await seatsApp.publishAsync("car/v1/lock/request", '{"seconds":1}', { qos: 1 });
    expect(await held()).toEqual([["seats"], "seats"]);
    expect(await held()).toEqual([[], null]);
    await seatsApp.publishAsync("car/v1/lock/request", '{"seconds":3600}', { qos: 1 });
    expect(await held()).toEqual([["seats"], "seats"]);
    const released = new Promise<void>((resolve) => port.watch?.(resolve));
    await seatsApp.endAsync(true);
    await released;
    expect(await port.conditions?.()).toMatchObject({ lockedBy: null });
  });

  test("the screen's app receives the car's messages", async () => {
    const next = await hear(await join_("screen"), "car/v1/display");
    await port.show?.([]);
    expect(await next()).toBe("[]");
  });

  test.each<{ attack: string; name: string; changes: mqtt.IClientOptions }>([
    { attack: "an unknown app", name: "stranger", changes: {} },
    { attack: "a wrong password", name: "seats", changes: { password: "guessed" } },
    { attack: "no password", name: "seats", changes: { username: "seats", password: "" } },
    { attack: "another's name", name: "seats", changes: { username: "drive" } },
    { attack: "a session that is kept", name: "seats", changes: { clean: false } },
    {
      attack: "a will",
      name: "seats",
      changes: { will: { topic: "car/v1/active", payload: Buffer.from("x"), qos: 0, retain: true } },
    },
  ])("$attack does not get in", async ({ name, changes }) => {
    await expect(join_(name, changes)).rejects.toThrow();
    expect(refusals).toEqual([`${name}: connect`]);
  });

  test.each([
    "#",
    "+/v1/active",
    "car/v1/#",
    "car/v1/configuration/+",
    "car/v1/configuration/plataformaBase",
    "car/v1/display",
    "car/v1/signals/Vehicle.IsMoving",
    "$SYS/#",
    "$share/group/car/v1/active",
  ])("an app that may not read %s gets nothing of it", async (topic) => {
    const seatsApp = await join_("seats");
    const answer = await seatsApp.subscribeAsync(topic).then(
      (granted) => granted.map(({ qos }) => qos),
      () => [128],
    );
    expect(answer).toEqual([128]);
    expect(refusals).toEqual([`seats: subscribe ${topic}`]);
  });

  test.each([
    { name: "seats", topic: "car/v1/signals/Vehicle.IsMoving", text: "false", retain: false },
    { name: "drive", topic: "car/v1/signals/Vehicle.TraveledDistance", text: "1", retain: false },
    { name: "drive", topic: "car/v1/signals/Vehicle.Speed", text: "fast", retain: false },
    { name: "drive", topic: "car/v1/signals/Vehicle.Speed", text: "1", retain: true },
    { name: "drive", topic: "car/v1/lock/request", text: '{"seconds":60}', retain: false },
    { name: "seats", topic: "car/v1/lock/request", text: '{"seconds":1e9}', retain: false },
    { name: "seats", topic: "car/v1/active", text: "{}", retain: true },
    { name: "seats", topic: "car/v1/configuration/asientosCalefactables", text: "[]", retain: false },
  ])("$name publishing $text to $topic (retained: $retain) has no effect", async (row) => {
    const client = await join_(row.name);
    const before = [await port.signals?.(), await port.conditions?.()];
    const closed = closing(client);
    client.publish(row.topic, row.text, { retain: row.retain });
    await closed;
    expect([await port.signals?.(), await port.conditions?.()]).toEqual(before);
    expect(refusals).toEqual([`${row.name}: publish ${row.topic}`]);
  });

  test("a huge packet ends its connection at the header, before the client is identified", async () => {
    const { port: number } = new URL(port.url);
    const socket = connect(Number(number), "127.0.0.1");
    await once(socket, "connect");
    socket.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]));
    await once(socket.resume(), "close");
    expect(refusals).toEqual([": packet size"]);
    await join_("seats");
  });
});

describe("the environment chooses", () => {
  const none = {
    CAAS_AGENT_APPLY_COMMAND: undefined,
    CAAS_AGENT_LOCAL_PORT: undefined,
    CAAS_AGENT_LOCAL_APPS_FILE: undefined,
    CAAS_AGENT_PROBE_COMMAND: undefined,
  };

  test("nothing named: the folder alone, no port, no telemetry", async () => {
    const open = await openAdapters(none, () => undefined);
    expect(open.url).toBeNull();
    expect(open.adapter.signals).toBeUndefined();
    await open.close();
  });

  test("a program and a port: both receive it; without a list of apps no app is admitted", async () => {
    const file = join(root, "given");
    const open = await openAdapters(
      { ...none, CAAS_AGENT_APPLY_COMMAND: `cat > '${file}'`, CAAS_AGENT_LOCAL_PORT: 0 },
      () => undefined,
    );
    await open.adapter.apply(configuration(1, [base]));
    expect(await readFile(file, "utf8")).toContain(base.id);
    const client = mqtt.connect(open.url ?? "", { clientId: "seats", reconnectPeriod: 0 });
    client.on("error", () => undefined);
    await closing(client);
    await client.endAsync(true);
    await open.close();
  });

  test.each([
    { text: "{", words: "apps" },
    { text: '{"apps":[{"name":"Seats!","passwordSha256":""}]}', words: "name" },
    {
      text: JSON.stringify({ apps: ["a", "a"].map((name) => ({ name, passwordSha256: "x".repeat(43) })) }),
      words: "a name occurs twice",
    },
  ])("a list of apps that reads $text stops the start", async ({ text, words }) => {
    const file = join(root, "apps.json");
    await writeFile(file, text);
    const open = openAdapters({ ...none, CAAS_AGENT_LOCAL_APPS_FILE: file }, () => undefined);
    await expect(open).rejects.toThrow(words);
  });

  test("an app may do only what its row allows", () => {
    const { apps } = localAppsSchema.parse({ apps: [{ name: "a", passwordSha256: "x".repeat(43) }] });
    expect(apps[0]).toMatchObject({ reads: [], gives: [], mayLock: false, isDisplay: false });
  });
});
