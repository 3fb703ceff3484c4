import * as z from "zod";
import type { Transaction } from "../../store/database.ts";
import { enqueue, jobType } from "../../store/jobs.ts";

const ofOrder = z.object({ orderId: z.uuid() });

export const placeFactoryOrderJob = jobType("placeFactoryOrder", ofOrder);
export const lookUpOrderJob = jobType("lookUpOrder", ofOrder);
export const handOverEnrolmentJob = jobType("handOverEnrolment", ofOrder);

/** At most one waits for each order. */
export function enqueuePlacement(tx: Transaction, orderId: string): Promise<void> {
  return enqueue(tx, placeFactoryOrderJob, [{ payload: { orderId }, key: `placeFactoryOrder:${orderId}` }]);
}

export function enqueueHandOver(tx: Transaction, orderId: string): Promise<void> {
  return enqueue(tx, handOverEnrolmentJob, [{ payload: { orderId }, key: `handOverEnrolment:${orderId}` }]);
}
