import pg from "pg";
import type { Logger } from "pino";

export type NotifyListener = { start(): Promise<void>; stop(): Promise<void> };

const retryMs = 1_000;

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
  let client: pg.Client | undefined;
  let retry: NodeJS.Timeout | undefined;
  let stopped = true;

  async function open(): Promise<void> {
    const current = new pg.Client({ connectionString: options.url });
    client = current;
    current.on("notification", options.onRing);
    current.on("error", (error) =>
      options.logger.warn({ err: error, channel: options.channel }, "listening broke"),
    );
    current.on("end", () => {
      if (!stopped && current === client) retry = setTimeout(reopen, retryMs);
    });
    await current.connect();
    await current.query(`listen ${current.escapeIdentifier(options.channel)}`);
    options.onRing();
  }

  function reopen(): void {
    open().catch((error: unknown) => {
      options.logger.warn({ err: error, channel: options.channel }, "listening cannot begin yet");
      if (!stopped) retry = setTimeout(reopen, retryMs);
    });
  }

  return {
    async start() {
      stopped = false;
      await open();
    },
    async stop() {
      stopped = true;
      clearTimeout(retry);
      await client?.end();
    },
  };
}
