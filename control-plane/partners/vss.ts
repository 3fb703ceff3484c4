import { writtenVinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { callPartner, endpointOf, type PartnerOptions } from "./call-partner.ts";
import { PartnerUnavailable } from "./partner-error.ts";

const maintenanceSchema = z.object({
  vin: writtenVinSchema,
  status: z.enum(["current", "overdue"]),
  nextDueOn: z.iso.date(),
  nextDueKm: z.int().min(0),
  lastServiceOn: z.iso.date().nullable(),
});

/**
 * The workshops' answer about a car. `unknown`: they do not know it. `unavailable`: slow, down, or nonsense,
 * which an answer about another car also is.
 */
export type MaintenanceAnswer =
  | {
      status: "current" | "overdue";
      nextDueOn: string;
      nextDueKm: number;
      lastServiceOn: string | null;
    }
  | { status: "unknown" }
  | { status: "unavailable"; reason: string };

export type MaintenancePlan = { soldOn: string; planMonths: number; planKm: number };

/** The workshops' maintenance system. (Not COVESA's signal names, which share its abbreviation.) */
export type Vss = {
  /** Never throws and never takes longer than the budget: the customer waits for its answer. */
  askMaintenance(vin: string): Promise<MaintenanceAnswer>;
  /**
   * From here on the workshops know the car. Repeating it changes nothing.
   * @throws PartnerUnavailable
   */
  registerPlan(vin: string, plan: MaintenancePlan): Promise<"registered" | "refused">;
};

// Specification, "Process Performance Metrics": the check answers in under 2 s. What is left of that is for
// picking up the job and committing the answer.
export const defaultCheckBudgetMs = 1_800;

/** @param options.checkBudgetMs real time, for one whole question */
export function createVss(options: PartnerOptions & { checkBudgetMs?: number }): Vss {
  const { checkBudgetMs = defaultCheckBudgetMs, ...reached } = options;
  const writing = endpointOf("vss", reached);
  const asking = { ...writing, timeoutMs: checkBudgetMs };
  return {
    async askMaintenance(vin) {
      try {
        const path = `/v1/vehicles/${encodeURIComponent(vin)}/maintenance`;
        const answer = await callPartner(asking, { method: "GET", path }, maintenanceSchema);
        if (answer.kind === "refused")
          return answer.status === 404
            ? { status: "unknown" }
            : { status: "unavailable", reason: `refused with ${answer.status}` };
        const { vin: answeredVin, ...maintenance } = answer.value;
        if (answeredVin !== vin) return { status: "unavailable", reason: "answered about another vehicle" };
        return maintenance;
      } catch (error) {
        if (error instanceof PartnerUnavailable) return { status: "unavailable", reason: error.reason };
        throw error;
      }
    },
    async registerPlan(vin, plan) {
      const path = `/v1/vehicles/${encodeURIComponent(vin)}`;
      const answer = await callPartner(writing, { method: "PUT", path, body: plan }, z.unknown());
      return answer.kind === "ok" ? "registered" : "refused";
    },
  };
}
