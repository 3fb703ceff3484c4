import { setTimeout as delay } from "node:timers/promises";
import { drawExponential } from "../chance/draw.ts";
import type { Random } from "../chance/seeded-random.ts";

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
export async function beginWhenDue(
  dueTimesMs: Iterable<number>,
  signal: AbortSignal,
  begin: (dueMs: number) => void,
): Promise<void> {
  for (const dueMs of dueTimesMs) {
    if (!(await until(dueMs, signal))) return;
    begin(dueMs);
  }
}

/** The times of a Poisson process, forever. */
export function* arrivalTimes(random: Random, perSecond: number): Generator<number> {
  for (let dueMs = nowMs(); ; ) {
    dueMs += drawExponential(random, 1000 / perSecond);
    yield dueMs;
  }
}
