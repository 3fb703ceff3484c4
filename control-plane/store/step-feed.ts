import type { Logger } from "pino";
import { createNotifyListener } from "./notify-listener.ts";

// Who waits for a step to be committed is woken by PostgreSQL's NOTIFY, by one connection for the whole process.

export type StepFeed = {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** How often the bell has rung so far: take it before looking, and wait past it after finding nothing. */
  count(): number;
  /** `true` at the first ring after `count`; `false` after `timeoutMs`, when `signal` aborts, or when the feed stops. */
  waitPast(count: number, timeoutMs: number, signal?: AbortSignal): Promise<boolean>;
};

/** @param channel of NOTIFY; the bell rings without content, so it also rings after every new connection */
export function createStepFeed(options: { url: string; channel: string; logger: Logger }): StepFeed {
  const stopping = new AbortController();
  const waiters = new Set<(rung: boolean) => void>();
  let rings = 0;
  const listener = createNotifyListener({
    ...options,
    onRing() {
      rings += 1;
      for (const wake of [...waiters]) wake(true);
    },
  });

  return {
    start: listener.start,
    async stop() {
      stopping.abort();
      for (const wake of [...waiters]) wake(false);
      await listener.stop();
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
