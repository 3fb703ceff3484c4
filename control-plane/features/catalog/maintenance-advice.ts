import type { Clock } from "@caas/contract/business-clock.ts";
import { minuteMs } from "@caas/contract/durations.ts";
import type { Vss } from "../../partners/vss.ts";
import type { MaintenanceStatus } from "../../rules/maintenance-gate.ts";

export type Advice = { status: MaintenanceStatus; checkedAt: Date };

/** @param heard what the workshops said when a service was last bought, by whichever replica */
export type Advise = (vin: string, heard: Advice | null) => Promise<Advice>;

// Browsing must not ask the workshops for every page; the check after the selection is live (DE11).
const adviceLastsMs = 5 * minuteMs;
/** About a megabyte; beyond it the oldest answers make room. */
const maxRemembered = 10_000;

/**
 * The workshops' newest answer about a car, at most five minutes old in business time: what denied a purchase a moment
 * ago is what the catalogue says, too. Silence is not kept.
 */
export function createAdvice(clock: Clock, vss: Vss): Advise {
  const remembered = new Map<string, Advice>();
  return async (vin, heard) => {
    const known = newerOf(remembered.get(vin) ?? null, heard?.status === "unavailable" ? null : heard);
    if (known !== null && clock.now().getTime() - known.checkedAt.getTime() <= adviceLastsMs) return known;
    const { status } = await vss.askMaintenance(vin);
    const advice = { status, checkedAt: clock.now() };
    remembered.delete(vin);
    if (status !== "unavailable") remembered.set(vin, advice);
    if (remembered.size > maxRemembered) {
      const [oldest] = remembered.keys();
      if (oldest !== undefined) remembered.delete(oldest);
    }
    return advice;
  };
}

function newerOf(one: Advice | null, other: Advice | null): Advice | null {
  if (one === null || other === null) return one ?? other;
  return one.checkedAt > other.checkedAt ? one : other;
}
