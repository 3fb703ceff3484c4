import type { AgentClock } from "./agent-clock.ts";

// All due times of a car share one timer: thousands of idle cars in a process cost one timer each.

export type WakeUps<Name extends string> = {
  /** Replaces the due time of `name`: in `delayMs` of business time. */
  set(name: Name, delayMs: number): void;
  clear(name: Name): void;
  /** Whether `name` has a due time. */
  has(name: Name): boolean;
  stop(): void;
};

/** However fast business time runs, periodic work does not run more often than this. */
const leastRealMs = 1_000;

/** An interval of business time, lengthened where business time runs so fast that it would be too short in real time. */
export function paceMs(intervalMs: number, clock: Pick<AgentClock, "realDelayMs">): number {
  return Math.max(intervalMs, leastRealMs / clock.realDelayMs(1));
}

/** The longest delay a timer takes; later due times are reached in steps. */
const longestTimerMs = 2 ** 31 - 1;

/** `onDue` is called once for each name that has become due, earliest first. */
export function createWakeUps<Name extends string>(
  clock: Pick<AgentClock, "elapsedMs" | "realDelayMs">,
  onDue: (name: Name) => void,
): WakeUps<Name> {
  const dueAtMs = new Map<Name, number>();
  let timer: NodeJS.Timeout | undefined;
  /** When `timer` fires. */
  let armedForMs = Number.POSITIVE_INFINITY;

  /** A timer that would fire too early stays: every change of a car postpones due times. */
  function arm(): void {
    const nextMs = earliest(dueAtMs);
    if (nextMs >= armedForMs) return;
    clearTimeout(timer);
    armedForMs = nextMs;
    const waitMs = clock.realDelayMs(nextMs - clock.elapsedMs());
    timer = setTimeout(fire, Math.min(longestTimerMs, Math.max(0, Math.ceil(waitMs))));
    timer.unref();
  }

  function disarm(): void {
    clearTimeout(timer);
    timer = undefined;
    armedForMs = Number.POSITIVE_INFINITY;
  }

  function fire(): void {
    disarm();
    const now = clock.elapsedMs();
    const due = [...dueAtMs].filter(([, atMs]) => atMs <= now).sort(([, a], [, b]) => a - b);
    for (const [name] of due) dueAtMs.delete(name);
    for (const [name] of due) onDue(name);
    arm();
  }

  return {
    set(name, delayMs) {
      dueAtMs.set(name, clock.elapsedMs() + delayMs);
      arm();
    },
    clear(name) {
      if (dueAtMs.delete(name) && dueAtMs.size === 0) disarm();
    },
    has: (name) => dueAtMs.has(name),
    stop() {
      dueAtMs.clear();
      disarm();
    },
  };
}

function earliest(dueAtMs: ReadonlyMap<unknown, number>): number {
  let nextMs = Number.POSITIVE_INFINITY;
  for (const atMs of dueAtMs.values()) if (atMs < nextMs) nextMs = atMs;
  return nextMs;
}
