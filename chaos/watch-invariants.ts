import { setTimeout as delay } from "node:timers/promises";
import { type Client, send } from "@caas/contract/client/client.ts";
import { minuteMs } from "@caas/contract/durations.ts";
import * as z from "zod";

/** `what`: the invariant and the activation; empty where none was broken. */
export type Violation = { ms: number; what: string };

export type InvariantWatch = {
  /** The longest a promise to a paying customer was seen broken, business ms, and which; 0 when it never was. */
  worst(): Violation;
  /** How often the platform answered. */
  samples(): number;
  stop(): Promise<void>;
};

const sampleEveryMs = 500;

/** Beyond the grace, business ms. Days of sleep put a promise off and do not break it: sound runs show 0. */
export const longestViolationMs = 5 * minuteMs;

/** A promise that was broken for long fails a run, also where it was kept in the end. */
export function judgeViolation({ ms, what }: Violation): string[] {
  return ms <= longestViolationMs
    ? []
    : [`a promise was broken for ${ms} ms of business time, and ${longestViolationMs} are the most: ${what}`];
}

const answerSchema = z.looseObject({
  graceMs: z.int(),
  offenders: z.array(z.looseObject({ invariant: z.string(), activationId: z.string(), ageMs: z.int() })),
});

/** Asks the platform itself (`GET /api/invariants`), as its operators would; while it is down there is no answer. */
export function watchInvariants(client: Client): InvariantWatch {
  let worst: Violation = { ms: 0, what: "" };
  let samples = 0;
  const stopping = new AbortController();

  async function sample(): Promise<void> {
    const call = { ...client, fetch, timeoutMs: 5_000, signal: stopping.signal };
    const answer = await send("/api/invariants", { ...call, method: "GET" });
    const { graceMs, offenders } = answerSchema.parse(answer);
    samples += 1;
    // A service without money counts from the end of its grace, money without service from the first moment.
    for (const { invariant, activationId, ageMs } of offenders) {
      const ms = invariant === "serviceWithoutMoney" ? ageMs - graceMs : ageMs;
      if (ms > worst.ms) worst = { ms, what: `${invariant} of activation ${activationId}` };
    }
  }

  async function keepLooking(): Promise<void> {
    while (!stopping.signal.aborted) {
      await sample().catch(() => undefined); // no answer while the platform is down
      await delay(sampleEveryMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }
  const looking = keepLooking();
  return {
    worst: () => worst,
    samples: () => samples,
    async stop() {
      stopping.abort();
      await looking;
    },
  };
}
