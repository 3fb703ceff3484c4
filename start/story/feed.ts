import type { Client } from "@caas/contract/client/client.ts";
import { readTheStepsOfAnExpediente, type Step } from "@caas/contract/client/generated.ts";

export type Feed = {
  /** What has come so far, in the order it came. */
  steps(): readonly Step[];
  /**
   * The first step, past or to come, that `fits`.
   * @param what completes "waited in vain for …"
   * @throws after `timeoutMs` (default 20 s), or when the feed cannot be read
   */
  until(what: string, fits: (step: Step) => boolean, timeoutMs?: number): Promise<Step>;
  stop(): Promise<void>;
};

/** Each answer comes at the first step. */
const waitMs = 5_000;
const patienceMs = 20_000;

/** Follows an expediente by long polls; `onStep` hears each step once. */
export function followSteps(
  client: Client,
  expedienteId: string,
  onStep: (step: Step) => void = () => undefined,
): Feed {
  const taken = new Map<number, Step>();
  const waiters = new Set<() => void>();
  const stopping = new AbortController();
  let failure: unknown = null;

  async function ask(after: number, wait: number): Promise<void> {
    const params = { after, waitMs: wait };
    const call = { ...client, signal: stopping.signal };
    const { steps } = await readTheStepsOfAnExpediente(expedienteId, params, call);
    const fresh = steps.filter(({ id }) => !taken.has(id));
    for (const step of fresh) {
      taken.set(step.id, step);
      onStep(step);
    }
    if (fresh.length > 0) for (const wake of [...waiters]) wake();
  }

  async function follow(): Promise<void> {
    while (!stopping.signal.aborted) {
      await ask(Math.max(0, ...taken.keys()), waitMs);
    }
  }
  const following = follow().catch((error: unknown) => {
    if (stopping.signal.aborted) return;
    failure = error;
    for (const wake of [...waiters]) wake();
  });

  return {
    steps: () => [...taken.values()],
    until(what, fits, timeoutMs = patienceMs) {
      return new Promise((resolve, reject) => {
        const end = (finish: () => void) => {
          clearTimeout(timer);
          waiters.delete(look);
          finish();
        };
        const timer = setTimeout(() => {
          const last = [...taken.values()].at(-1);
          const stand = last === undefined ? "no step was recorded" : `the last step is ${last.event}`;
          end(() => reject(new Error(`waited ${timeoutMs} ms in vain for ${what}; ${stand}`)));
        }, timeoutMs);
        const look = () => {
          const found = [...taken.values()].find(fits);
          if (found !== undefined) end(() => resolve(found));
          else if (failure !== null) end(() => reject(failure));
        };
        waiters.add(look);
        look();
      });
    },
    async stop() {
      stopping.abort();
      await following;
    },
  };
}
