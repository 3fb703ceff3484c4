import { onePart, perSecond, shareOfCore } from "../statistics.ts";
import type { LoadSample } from "./load.ts";

// What one turn of a load comes to. A sample always has messages and took time: a silent broker is an error.

/** Messages, or round trips, a second. */
export function rateOf({ messages, seconds }: LoadSample): number {
  return perSecond(messages, seconds * 1000) ?? 0;
}

/** Processor time of the broker a message, in µs; `null` without /proc. */
export function brokerUsOf({ brokerUs, messages }: LoadSample): number | null {
  return brokerUs === null ? null : onePart(brokerUs, messages);
}

/** Shares of one core. */
export function brokerShareOf({ brokerUs, seconds }: LoadSample): number | null {
  return brokerUs === null ? null : shareOfCore(brokerUs, seconds * 1000);
}

export function generatorShareOf({ generatorUs, seconds }: LoadSample): number {
  return shareOfCore(generatorUs, seconds * 1000) ?? 0;
}
