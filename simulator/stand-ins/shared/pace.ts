import * as z from "zod";
import type { PartnerStore } from "./store.ts";

// How a stand-in moves its work on: by itself ("auto", one step after the other) or step by step on command.

/** One timer a subject; starting a subject that already waits changes nothing. */
export type Stepper = {
  schedule(subject: string, delayMs: number): void;
  /** Forgets every step that waits: at close, and when another pace is set. */
  cancelAll(): void;
};

export function createStepper(step: (subject: string) => void): Stepper {
  const timers = new Map<string, NodeJS.Timeout>();
  return {
    schedule(subject, delayMs) {
      if (timers.has(subject)) return;
      const run = () => {
        timers.delete(subject);
        step(subject);
      };
      timers.set(subject, setTimeout(run, delayMs).unref());
    },
    cancelAll() {
      for (const timer of timers.values()) clearTimeout(timer);
      timers.clear();
    },
  };
}

/** A setting turned at the control entrance; it outlives a restart, `initial` counts until it is first set. */
export function storedSetting<T>(store: PartnerStore, name: string, schema: z.ZodType<T>, initial: T) {
  const settings = store.collection("settings", z.object({ name: z.string(), value: schema }));
  return {
    read: (): T => settings.get(name)?.value ?? initial,
    write: (value: T) => settings.put(name, { name, value }),
  };
}
