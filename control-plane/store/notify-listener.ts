import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "pino";

export type NotifyListener = {
  /** Resolves when it listens. @throws the database's error at the first try only. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Number of rings so far: read it before looking, and wait past it after finding nothing. */
  count(): number;
  /** `true` at the first ring after `count`; `false` after `timeoutMs`, when `signal` aborts, or at `stop`. */
  waitPast(count: number, timeoutMs: number, signal?: AbortSignal): Promise<boolean>;
  /** Rings in this process only. */
  ring(): void;
};

/** A lost connection is tried again this often. */
const reconnectMs = 500;

/**
 * Hears PostgreSQL's NOTIFY on one channel, with a connection of its own that is made again when it breaks.
 * A ring has no content, and a missed one must not matter: every (re)connect rings too.
 */
export function createNotifyListener(options: {
  url: string;
  channel: string;
  /** Sets up each new connection before it rings. */
  onConnect?(client: pg.Client): Promise<unknown>;
  onRing?(): void;
  logger: Logger;
}): NotifyListener {
  const { url, channel, logger } = options;
  const stopping = new AbortController();
  const waiters = new Set<(rung: boolean) => void>();
  let rings = 0;
  let client: pg.Client | null = null;
  let reconnecting: Promise<void> = Promise.resolve();

  function ring(): void {
    rings += 1;
    for (const wake of [...waiters]) wake(true);
    options.onRing?.();
  }

  async function connect(): Promise<void> {
    const next = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, keepAlive: true });
    next.on("error", (error) => logger.warn({ err: error, channel }, "listening broke"));
    await next.connect();
    await options.onConnect?.(next);
    await next.query(`listen ${pg.escapeIdentifier(channel)}`);
    next.on("notification", ring);
    next.on("end", () => {
      if (client === next && !stopping.signal.aborted) reconnecting = reconnect();
    });
    client = next;
    // Something may have been committed while nobody listened.
    ring();
  }

  async function reconnect(): Promise<void> {
    client = null;
    while (!stopping.signal.aborted) {
      try {
        await delay(reconnectMs, undefined, { signal: stopping.signal });
        await connect();
        return;
      } catch (error) {
        if (!stopping.signal.aborted) logger.debug({ err: error, channel }, "listening cannot begin yet");
      }
    }
  }

  return {
    start: connect,
    async stop() {
      stopping.abort();
      for (const wake of [...waiters]) wake(false);
      await reconnecting;
      const current = client;
      client = null;
      await current?.end();
    },
    count: () => rings,
    waitPast(count, timeoutMs, signal) {
      if (stopping.signal.aborted || signal?.aborted) return Promise.resolve(false);
      if (rings !== count) return Promise.resolve(true);
      return new Promise((resolve) => {
        const wake = (rung: boolean) => {
          waiters.delete(wake);
          clearTimeout(timer);
          signal?.removeEventListener("abort", giveUp);
          resolve(rung);
        };
        const giveUp = () => wake(false);
        const timer = setTimeout(giveUp, Math.max(timeoutMs, 0));
        signal?.addEventListener("abort", giveUp);
        waiters.add(wake);
      });
    },
    ring,
  };
}
