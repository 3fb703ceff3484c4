import { Redis, type RedisOptions } from "ioredis";
import type { Logger } from "pino";

// The way to the other processes of the broker: two connections to one Redis, one that subscribes and one that
// publishes. Delivery is not guaranteed. While Redis is away nothing waits for it: messages are dropped and counted, and
// their senders repeat what is needed when it is back.

export type RedisBus = {
  /** Connects, and reconnects whenever the connection is lost; does not wait for it. */
  start(): void;
  /** Both connections are up and every wanted channel is subscribed to. */
  isUp(): boolean;
  /** Ms since it came up; 0 while it is down. */
  upForMs(): number;
  /** Subscribes to a channel; calls `done` when that is done, or when it cannot be done now. */
  hear(channel: string, done?: () => void): void;
  /** Whether that channel is wanted here. */
  wants(channel: string): boolean;
  /** Call it once for each `hear`. */
  leave(channel: string): void;
  say(channel: string, bytes: Buffer): void;
  /** Stored data; rejects at once while Redis is away. */
  readonly keep: Redis;
  close(): Promise<void>;
};

export type RedisBusOptions = {
  url: string;
  onMessage(channel: string, bytes: Buffer): void;
  /** At every (re)connect, once every wanted channel is subscribed to. */
  onUp(): void;
  onDown(): void;
  /** Something could not be published or stored. */
  onLost(): void;
  random: () => number;
  monotonicMs: () => number;
  log: Logger;
};

const connectTimeoutMs = 5_000;
/** Longer than any command of ours takes; a Redis that hangs is treated like one that is down. */
const commandTimeoutMs = 3_000;
const pingEveryMs = 2_000;
const firstRetryMs = 100;
const lastRetryMs = 2_000;
/** Channels in one command. */
const atOnce = 1_000;

export function openRedisBus(options: RedisBusOptions): RedisBus {
  const { log } = options;
  const common: RedisOptions = {
    lazyConnect: true,
    // Nothing is queued: it would arrive in a flood, and too late.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // We know which channels are wanted, those added meanwhile included.
    autoResubscribe: false,
    connectTimeout: connectTimeoutMs,
    retryStrategy: (attempt) =>
      Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(attempt, 10)) * (0.5 + options.random() / 2),
  };
  const keep = new Redis(options.url, {
    ...common,
    commandTimeout: commandTimeoutMs,
    enableAutoPipelining: true,
  });
  const hearing = new Redis(options.url, common);
  const wanted = new Map<string, number>();
  const heard = new Set<string>();
  let changed: { channel: string; done: (() => void) | undefined }[] = [];
  let upSinceMs: number | null = null;
  let isClosed = false;
  let pings: NodeJS.Timeout | undefined;

  function change(channel: string, done?: () => void): void {
    if (changed.length === 0) setImmediate(() => void apply());
    changed.push({ channel, done });
  }

  /** In batches, because a connecting fleet asks for thousands. */
  async function apply(): Promise<void> {
    const asked = changed;
    changed = [];
    const channels = [...new Set(asked.map(({ channel }) => channel))];
    if (hearing.status === "ready") await adjust(channels);
    for (const { done } of asked) done?.();
  }

  async function adjust(channels: readonly string[]): Promise<void> {
    const begin = channels.filter((channel) => wanted.has(channel) && !heard.has(channel));
    const end = channels.filter((channel) => !wanted.has(channel) && heard.has(channel));
    for (const channel of begin) heard.add(channel);
    for (const channel of end) heard.delete(channel);
    try {
      for (let from = 0; from < end.length; from += atOnce)
        await hearing.unsubscribe(...end.slice(from, from + atOnce));
      for (let from = 0; from < begin.length; from += atOnce)
        await hearing.subscribe(...begin.slice(from, from + atOnce));
    } catch (error) {
      // The connection broke; every wanted channel is subscribed to on the next one.
      log.debug({ err: error }, "channels could not be changed");
    }
  }

  async function becomeUp(): Promise<void> {
    if (keep.status !== "ready" || hearing.status !== "ready" || upSinceMs !== null) return;
    heard.clear();
    await adjust([...wanted.keys()]);
    if (keep.status !== "ready" || hearing.status !== "ready" || upSinceMs !== null || isClosed) return;
    upSinceMs = options.monotonicMs();
    log.info({ channels: heard.size }, "connected to Redis");
    options.onUp();
  }

  function becomeDown(): void {
    if (upSinceMs === null) return;
    upSinceMs = null;
    if (isClosed) return;
    log.warn(
      "the connection to Redis was lost; cars here are served, those at other processes are not reached",
    );
    options.onDown();
  }

  for (const connection of [keep, hearing]) {
    connection.on("ready", () => void becomeUp());
    connection.on("close", becomeDown);
    // Every failed attempt emits one; only the change of state is reported.
    connection.on("error", (error: Error) => log.debug({ err: error }, "Redis"));
  }
  hearing.on("messageBuffer", (channel: Buffer, bytes: Buffer) =>
    options.onMessage(channel.toString("latin1"), bytes),
  );

  /** A connection whose other end hangs does not close by itself. */
  function ping(): void {
    for (const connection of [keep, hearing]) {
      if (connection.status !== "ready") continue;
      const late = setTimeout(() => connection.disconnect(true), commandTimeoutMs);
      connection.ping().then(
        () => clearTimeout(late),
        () => undefined,
      );
    }
  }

  return {
    keep,
    start() {
      for (const connection of [keep, hearing]) connection.connect().catch(() => undefined);
      pings = setInterval(ping, pingEveryMs);
    },
    isUp: () => upSinceMs !== null,
    upForMs: () => (upSinceMs === null ? 0 : options.monotonicMs() - upSinceMs),
    hear(channel, done) {
      const count = wanted.get(channel) ?? 0;
      wanted.set(channel, count + 1);
      if (count === 0) change(channel, done);
      else if (done !== undefined) setImmediate(done);
    },
    wants: (channel) => wanted.has(channel),
    leave(channel) {
      const count = wanted.get(channel) ?? 0;
      if (count > 1) wanted.set(channel, count - 1);
      else if (wanted.delete(channel)) change(channel);
    },
    say(channel, bytes) {
      if (keep.status !== "ready") return options.onLost();
      keep.publish(channel, bytes).catch(options.onLost);
    },
    async close() {
      isClosed = true;
      clearInterval(pings);
      for (const connection of [keep, hearing]) connection.disconnect();
    },
  };
}
