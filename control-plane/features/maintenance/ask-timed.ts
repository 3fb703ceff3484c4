import type { Clock } from "@caas/contract/business-clock.ts";
import type { MaintenanceAnswer, Vss } from "../../partners/vss.ts";

/** Told of every question: how long it took and what came of it (ME10: under 2 s). */
export type Observe = (ms: number, status: MaintenanceAnswer["status"]) => void;

export type Ask = (vin: string) => Promise<MaintenanceAnswer>;

/** Asks the workshops and tells `observe` how long the answer took, in real time. */
export function askTimed(realClock: Clock, vss: Vss, observe: Observe = () => undefined): Ask {
  return async (vin) => {
    const startedAt = realClock.now().getTime();
    const answer = await vss.askMaintenance(vin);
    observe(realClock.now().getTime() - startedAt, answer.status);
    return answer;
  };
}
