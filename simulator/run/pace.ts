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
