import type { Context } from "../../lifecycle/context.ts";
import { askPartner } from "../../lifecycle/partner-requests.ts";
import type { Carrier } from "../../partners/transport.ts";
import { readTransport } from "./transport-row.ts";

/**
 * Tells the carrier that a replaced transport must not drive: otherwise two lorries come for one car. Runs at least
 * once; the carrier's refusal is a task for the dealership.
 */
export async function callOffTransport(
  context: Context,
  carrier: Carrier,
  transportId: string,
  attempt: number,
): Promise<void> {
  const { status, matter, carrierTransportId, calledOffAt } = await readTransport(context.db, transportId);
  if (status !== "replaced" || calledOffAt !== null || carrierTransportId === null) return;
  await askPartner(context, matter, attempt, {
    ask: () => carrier.callOff({ transportId: carrierTransportId, reference: matter.reference }, attempt),
    async record(tx) {
      await tx
        .updateTable("transports")
        .set({ called_off_at: context.clock.now() })
        .where("id", "=", transportId)
        .execute();
    },
    refusalTask: "transportNotCalledOff",
  });
}
