import * as z from "zod";
import { jobType, perPurchase } from "../../store/jobs.ts";

export const checkMaintenanceJob = jobType(
  "checkMaintenance",
  z.object({ activationId: z.uuid(), vin: z.string().nullable() }),
  perPurchase,
);
export const registerMaintenancePlanJob = jobType(
  "registerMaintenancePlan",
  z.object({ vehicleId: z.uuid() }),
);
