import * as z from "zod";
import type { Transaction } from "../../store/database.ts";
import { enqueue, jobType } from "../../store/jobs.ts";

const ofTransport = z.object({ transportId: z.uuid() });

export const arrangeTransportJob = jobType("arrangeTransport", ofTransport);
export const callOffTransportJob = jobType("callOffTransport", ofTransport);
export const lookUpTransportJob = jobType("lookUpTransport", ofTransport);

/** At most one waits for each transport. */
export function enqueueArrangement(tx: Transaction, transportId: string): Promise<void> {
  return enqueue(tx, arrangeTransportJob, [
    { payload: { transportId }, key: `arrangeTransport:${transportId}` },
  ]);
}

export function enqueueCallingOff(tx: Transaction, transportIds: readonly string[]): Promise<void> {
  return enqueue(
    tx,
    callOffTransportJob,
    transportIds.map((transportId) => ({ payload: { transportId } })),
  );
}
