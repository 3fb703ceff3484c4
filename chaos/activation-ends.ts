import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";

/** Which activations have ended, for the pace of the run only: the verdict never rests on it. */
export type ActivationEnds = {
  /** Resolves when it has ended, or after `patienceMs`, or when closed. */
  until(activationId: string, patienceMs: number): Promise<void>;
  /** Those asked about that have not ended. */
  pending(): ReadonlySet<string>;
  ended(): number;
  /** Ms since one ended, or since it began to look. */
  silentMs(): number;
  add(activationId: string): void;
  close(): Promise<void>;
};

const lookEveryMs = 200;

export function watchActivationEnds(databaseUrl: string): ActivationEnds {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  pool.on("error", () => undefined);
  const pending = new Map<string, (() => void)[]>();
  let ended = 0;
  let lastEndAt = performance.now();
  const closing = new AbortController();

  async function look(): Promise<void> {
    if (pending.size === 0) return;
    const { rows } = await pool.query<{ id: string }>(
      "select id from activations where id = any($1::uuid[]) and ended_at is not null",
      [[...pending.keys()]],
    );
    for (const { id } of rows) {
      ended += 1;
      lastEndAt = performance.now();
      for (const wake of pending.get(id) ?? []) wake();
      pending.delete(id);
    }
  }

  async function keepLooking(): Promise<void> {
    while (!closing.signal.aborted) {
      await look().catch(() => undefined); // the next look sees what this one could not
      await delay(lookEveryMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  }
  const looking = keepLooking();

  return {
    add: (id) => void pending.set(id, pending.get(id) ?? []),
    until(id, patienceMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wakers = pending.get(id);
      if (wakers === undefined || closing.signal.aborted) return Promise.resolve();
      const timer = setTimeout(resolve, patienceMs);
      wakers.push(resolve);
      closing.signal.addEventListener("abort", () => resolve(), { once: true });
      return promise.finally(() => clearTimeout(timer));
    },
    pending: () => new Set(pending.keys()),
    ended: () => ended,
    silentMs: () => performance.now() - lastEndAt,
    async close() {
      closing.abort();
      await looking;
      await pool.end();
    },
  };
}
