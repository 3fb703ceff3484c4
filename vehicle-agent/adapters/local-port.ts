import { createServer, type Socket } from "node:net";
import type { Display } from "@caas/contract/display.ts";
import type { ManifestEntry } from "@caas/contract/manifest.ts";
import { createFrameCheck, type FrameFault } from "@caas/contract/mqtt/frame-check.ts";
import type { Telemetry } from "@caas/contract/telemetry.ts";
import { Aedes, type AedesOptions } from "aedes";
import { conditionsFrom } from "../change/conditions.ts";
import type { CarAdapter } from "./adapter.ts";
import { checkConnection } from "./checked-connection.ts";
import { isAppsPassword, type LocalApp, localTopics, maySubscribe, readAppRequest } from "./local-apps.ts";

// MQTT for the apps inside the car, on loopback. It only passes on what the adapter receives, and takes readings and
// locks; only telemetry from here reaches the fleet link.

export type LocalPort = CarAdapter & { url: string; close(): Promise<void> };

/** No configuration of one code, and no reading, comes near. */
const largestPacketBytes = 65_536;
/** More connections than apps and their restarts need. */
const mostConnections = 128;

/** Listens on loopback; `port` 0 takes a free one. */
export async function startLocalPort(options: {
  port: number;
  apps: readonly LocalApp[];
  /** Called for every refusal. */
  onRefused?: (app: string, what: string) => void;
}): Promise<LocalPort> {
  const { onRefused = () => undefined } = options;
  const apps = new Map(options.apps.map((app) => [app.name, app]));
  const readings: Telemetry["signals"] = {};
  const locks = new Map<string, NodeJS.Timeout>();
  const listeners = new Set<() => void>();
  const sockets = new Set<Socket>();
  let codes: readonly string[] = [];
  const isMotionKnownBySomeone = options.apps.some(({ gives }) => gives.includes("Vehicle.IsMoving"));

  const rules: AedesOptions = {
    // One app that does not read must not hold up the others.
    concurrency: 0,
    drainTimeout: 5_000,
    connectTimeout: 5_000,
    preConnect(_client, packet, done) {
      const app = apps.get(packet.clientId ?? "");
      const isRight = app !== undefined && packet.will === undefined && packet.clean === true;
      if (!isRight) onRefused(packet.clientId ?? "", "connect");
      done(isRight ? null : new Error("not allowed"), isRight);
    },
    authenticate(client, username, password, done) {
      const app = apps.get(client.id);
      const isRight = app !== undefined && username === app.name && isAppsPassword(app, toBuffer(password));
      if (!isRight) onRefused(client.id, "connect");
      done(null, isRight);
    },
    authorizeSubscribe(client, subscription, done) {
      const app = client === null ? undefined : apps.get(client.id);
      const isAllowed = app !== undefined && maySubscribe(app, subscription.topic);
      if (!isAllowed) onRefused(client?.id ?? "", `subscribe ${subscription.topic}`);
      done(null, isAllowed ? subscription : null);
    },
    authorizePublish(client, packet, done) {
      const app = client === null ? undefined : apps.get(client.id);
      const request =
        app === undefined || packet.retain
          ? null
          : readAppRequest(app, packet.topic, packet.payload.toString());
      if (app === undefined || request === null) {
        onRefused(client?.id ?? "", `publish ${packet.topic}`);
        done(new Error("not allowed"));
        return;
      }
      switch (request.kind) {
        case "signal":
          take(request.name, request.value);
          break;
        case "lock":
          lock(app.name, request.seconds);
          break;
        case "release":
          release(app.name);
      }
      done(null);
    },
  };
  const broker = new Aedes(rules);
  await broker.listen();
  // An app that is gone no longer needs its lock.
  broker.on("clientDisconnect", (client) => release(client.id));
  for (const event of ["clientError", "connectionError"] as const) broker.on(event, () => undefined);

  function take(name: keyof Telemetry["signals"], value: number | boolean | string): void {
    if (readings[name] === value) return;
    readings[name] = value;
    notify();
  }

  function lock(name: string, seconds: number): void {
    clearTimeout(locks.get(name));
    locks.set(name, setTimeout(() => release(name), seconds * 1000).unref());
    tellLocks();
  }

  function release(name: string): void {
    clearTimeout(locks.get(name));
    if (locks.delete(name)) tellLocks();
  }

  function tellLocks(): void {
    void say(localTopics.lock, JSON.stringify({ heldBy: [...locks.keys()] }));
    notify();
  }

  function notify(): void {
    for (const listener of listeners) listener();
  }

  /** Retained: apps that connect later get it. */
  function say(topic: string, text: string): Promise<void> {
    const packet = {
      cmd: "publish",
      topic,
      payload: Buffer.from(text),
      qos: 1,
      retain: true,
      dup: false,
    } as const;
    return new Promise((resolve, reject) => {
      broker.publish(packet, (error) => (error ? reject(error) : resolve()));
    });
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    const check = createFrameCheck({
      maxFirstFrameBytes: largestPacketBytes,
      maxFrameBytes: largestPacketBytes,
    });
    const onFault = (fault: FrameFault): void =>
      onRefused("", fault === "not-connect" ? "connect" : "packet size");
    broker.handle(checkConnection(socket, check, onFault));
  });
  server.maxConnections = mostConnections;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, "127.0.0.1", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the local port has no number");
  tellLocks();

  return {
    url: `mqtt://127.0.0.1:${address.port}`,
    async apply({ version, hash, entries }) {
      const byCode = Map.groupBy(entries, ({ code }) => code);
      for (const code of codes) if (!byCode.has(code)) await say(localTopics.configuration(code), "");
      for (const [code, ofCode] of byCode) await say(localTopics.configuration(code), wordsFor(ofCode));
      codes = [...byCode.keys()].sort();
      await say(localTopics.active, JSON.stringify({ version, hash, codes }));
    },
    probe: async () =>
      server.listening ? { healthy: true } : { healthy: false, reason: "the local port is closed" },
    signals: async () => ({ ...readings }),
    async conditions() {
      const known = conditionsFrom(readings, [...locks.keys()][0] ?? null);
      // After a restart on the road the readings come back a moment later: until then it counts as driving.
      const isUnsure = isMotionKnownBySomeone && readings["Vehicle.IsMoving"] === undefined;
      return { ...known, moving: known.moving || isUnsure };
    },
    watch(onChange) {
      listeners.add(onChange);
      return () => listeners.delete(onChange);
    },
    show: (messages: readonly Display[]) => say(localTopics.display, JSON.stringify(messages)),
    async close() {
      for (const timer of locks.values()) clearTimeout(timer);
      locks.clear();
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => broker.close(() => resolve()));
    },
  };
}

function wordsFor(entries: readonly ManifestEntry[]): string {
  return JSON.stringify(entries.map(({ id, configuration, term }) => ({ id, configuration, term })));
}

function toBuffer(password: unknown): Buffer | undefined {
  return Buffer.isBuffer(password) ? password : undefined;
}
