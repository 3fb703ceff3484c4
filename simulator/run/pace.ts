import { setTimeout as delay } from "node:timers/promises";

/** Real ms since the epoch, monotonic within the process and comparable between processes of one machine. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Resolves at that moment, at once when it is past; `false` when told to stop instead. */
export async function until(atMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  const leftMs = atMs - nowMs();
  if (leftMs <= 0) return true;
  return delay(leftMs, true, { signal }).catch(() => false);
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Closed loop: `atOnce` pieces of work are under way, and the next begins when one ends. @throws the first failure */
export async function forEachAtOnce<T>(
  items: Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = Iterator.from(items);
  async function workOff(): Promise<void> {
    for (let next = left.next(); next.done !== true; next = left.next()) await work(next.value);
  }
  await Promise.all(Array.from({ length: atOnce }, workOff));
}

/**
 * Open loop: each piece of work begins when it is due, however long the earlier ones take, so waiting is not hidden.
 * Resolves when the last one has begun, or `signal` aborts.
 */
export async function beginWhenDue<T extends { afterMs: number }>(
  arrivals: Iterable<T>,
  signal: AbortSignal,
  begin: (arrival: T, dueMs: number) => void,
): Promise<void> {
  const startedMs = nowMs();
  for (const arrival of arrivals) {
    const dueMs = startedMs + arrival.afterMs;
    if (!(await until(dueMs, signal))) return;
    begin(arrival, dueMs);
  }
}
