import { setTimeout as delay } from "node:timers/promises";
import { wordsOf } from "@caas/simulator/command/run.ts";

const timeoutMs = 15_000;
const pauseMs = 250;
/** Longer than any restart of the platform on a busy machine. */
const patienceMs = 90_000;
/** Of one call with all its tries. */
export const callTimeoutMs = patienceMs + timeoutMs + 1_000;

/**
 * `fetch` as a good client uses it while parts of the platform die: what was not answered is repeated, with the same
 * Idempotency-Key. `losesAnswer` is asked once for each call that was carried out: `true` loses its first answer, as a
 * network does.
 */
export function createPatientFetch(
  stopped: AbortSignal,
  losesAnswer: (address: string, method: string) => boolean = () => false,
): typeof fetch {
  return async (address, init = {}) => {
    const giveUpAt = performance.now() + patienceMs;
    let mayBeLost = true;
    for (;;) {
      stopped.throwIfAborted();
      let trouble: string;
      try {
        const signal = AbortSignal.any([stopped, AbortSignal.timeout(timeoutMs)]);
        const response = await fetch(address, { ...init, signal });
        const text = await response.text();
        const { status } = response;
        const isFirst = mayBeLost && response.ok;
        if (isFirst) mayBeLost = false;
        if (isFirst && losesAnswer(String(address), init.method ?? "GET")) continue;
        if (status < 500 && status !== 429) return new Response(text === "" ? null : text, { status });
        trouble = `answered ${status}`;
      } catch (error) {
        trouble = wordsOf(error);
      }
      if (performance.now() > giveUpAt) throw new Error(`${address}: ${trouble} for ${patienceMs} ms`);
      await delay(pauseMs, undefined, { signal: stopped });
    }
  };
}
