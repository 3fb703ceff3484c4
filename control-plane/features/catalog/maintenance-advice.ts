import type { Clock } from "@caas/contract/business-clock.ts";
import { minuteMs } from "@caas/contract/durations.ts";
import type { Vss } from "../../partners/vss.ts";
import type { MaintenanceStatus } from "../../rules/maintenance-gate.ts";

export type Advice = { status: MaintenanceStatus; checkedAt: Date };

export type Advise = (vin: string) => Promise<Advice>;

// Browsing must not ask the workshops at every glance; what is sold is checked live after the selection (DE11).
const adviceLastsMs = 5 * minuteMs;
/** About a megabyte; beyond it the oldest answers make room. */
const maxRemembered = 10_000;

/** What the workshops said about a car at most five minutes ago, business time. That they were silent is not kept. */
export function createAdvice(clock: Clock, vss: Vss): Advise {
  const remembered = new Map<string, Advice>();
  return async (vin) => {
    const known = remembered.get(vin);
    if (known !== undefined && clock.now().getTime() - known.checkedAt.getTime() <= adviceLastsMs)
      return known;
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
