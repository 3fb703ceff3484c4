import * as z from "zod";
import type { Transaction } from "../../store/database.ts";
import { enqueue, jobType } from "../../store/jobs.ts";

const ofExpediente = z.object({ expedienteId: z.uuid() });

export const registerVehicleJob = jobType("registerVehicle", ofExpediente);
export const lookUpRegistrationJob = jobType("lookUpRegistration", ofExpediente);

/** At most one waits for each sale. */
export function enqueueRegistration(tx: Transaction, expedienteId: string): Promise<void> {
  const key = `registerVehicle:${expedienteId}`;
  return enqueue(tx, registerVehicleJob, [{ payload: { expedienteId }, key }]);
}
