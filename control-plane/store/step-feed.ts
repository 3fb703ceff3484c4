import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "pino";

// Who waits for a step to be committed is woken by PostgreSQL's NOTIFY, by one connection for the whole process.

export type StepFeed = {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** How often the bell has rung so far: take it before looking, and wait past it after finding nothing. */
  count(): number;
  /** `true` at the first ring after `count`; `false` after `timeoutMs`, when `signal` aborts, or when the feed stops. */
  waitPast(count: number, timeoutMs: number, signal?: AbortSignal): Promise<boolean>;
};

/** A lost connection is tried again this often; whoever waits meanwhile still ends at its own time-out. */
const reconnectMs = 500;

/** @param channel of NOTIFY; the bell rings without content, so it also rings after every new connection */
export function createStepFeed(options: { url: string; channel: string; logger: Logger }): StepFeed {
  const { url, channel, logger } = options;
  const stopping = new AbortController();
  const waiters = new Set<(rung: boolean) => void>();
  let rings = 0;
  let client: pg.Client | null = null;
  let reconnecting: Promise<void> = Promise.resolve();

  function ring(): void {
    rings += 1;
    for (const wake of [...waiters]) wake(true);
  }

  async function connect(): Promise<void> {
    const next = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, keepAlive: true });
    next.on("error", (error) => logger.warn({ err: error }, "the step feed lost its connection"));
    await next.connect();
    await next.query(`listen ${pg.escapeIdentifier(channel)}`);
    next.on("notification", ring);
    next.on("end", () => {
      if (client === next && !stopping.signal.aborted) reconnecting = reconnect();
    });
    client = next;
    // Steps may have been committed while nobody listened.
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
        if (!stopping.signal.aborted) logger.debug({ err: error }, "the step feed could not connect yet");
      }
    }
  }

  return {
    start: connect,
    async stop() {
      stopping.abort();
      for (const wake of [...waiters]) wake(false);
      await reconnecting;
      await client?.end();
      client = null;
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
  };
}
