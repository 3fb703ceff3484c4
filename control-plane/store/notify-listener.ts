import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "pino";

export type NotifyListener = {
  /** Resolves when it listens. @throws the database's error at the first try only. */
  start(): Promise<void>;
  stop(): Promise<void>;
};

/** A lost connection is tried again this often. */
const reconnectMs = 500;

/**
 * Hears PostgreSQL's NOTIFY on one channel, with a connection of its own that is made again when it breaks.
 * A missed ring must not matter: `onRing` is also called after every (re)connect.
 */
export function createNotifyListener(options: {
  url: string;
  channel: string;
  onRing(): void;
  logger: Logger;
}): NotifyListener {
  const { url, channel, onRing, logger } = options;
  const stopping = new AbortController();
  let client: pg.Client | null = null;
  let reconnecting: Promise<void> = Promise.resolve();

  async function connect(): Promise<void> {
    const next = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, keepAlive: true });
    next.on("error", (error) => logger.warn({ err: error, channel }, "listening broke"));
    await next.connect();
    await next.query(`listen ${pg.escapeIdentifier(channel)}`);
    next.on("notification", onRing);
    next.on("end", () => {
      if (client === next && !stopping.signal.aborted) reconnecting = reconnect();
    });
    client = next;
    // Something may have been committed while nobody listened.
    onRing();
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
      await reconnecting;
      const current = client;
      client = null;
      await current?.end();
    },
  };
}
