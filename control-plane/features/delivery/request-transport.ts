import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import { judgeVehicle } from "../../lifecycle/move-vehicles.ts";
import { expectNews } from "../../lifecycle/partner-requests.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueueArrangement } from "./jobs.ts";

/** `today`: the dealership's calendar day. */
export type TransportOrder = { expedienteId: string; date: string; today: string; staffId: string };

/**
 * Staff ask for transport on a day (AU9); the carrier is asked after the commit. While the vehicle is on its way
 * already, the same request arranges another transport in place of the one that fails (FA16).
 */
export async function requestTransport(
  context: Context,
  tx: Transaction,
  order: TransportOrder,
): Promise<{ kind: "requested"; transportId: string; reference: string } | Refusal> {
  if (order.date < order.today)
    return refuse("badRequest", `${order.date} is past; today is ${order.today}`, { field: "body.date" });
  const expediente = await tx
    .selectFrom("expedientes")
    .select(["reference", "vehicle_id"])
    .where("id", "=", order.expedienteId)
    .forUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${order.expedienteId}`));
  const refusal = await judge(tx, expediente.vehicle_id);
  if (refusal !== null) return refusal;

  const transports = await tx
    .selectFrom("transports")
    .select(["reference", "status"])
    .where("expediente_id", "=", order.expedienteId)
    .execute();
  const pending = transports.find((transport) => transport.status === "requested");
  if (pending !== undefined)
    return refuse("conflict", `the carrier is being asked for ${pending.reference}; wait for its answer`);

  const transportId = newId();
  const reference = `TRA-${expediente.reference}-${transports.length + 1}`;
  await tx
    .insertInto("transports")
    .values({
      id: transportId,
      expediente_id: order.expedienteId,
      reference,
      status: "requested",
      requested_date: order.date,
      arranged_by: order.staffId,
      requested_at: context.clock.now(),
    })
    .execute();
  await expectNews(context, tx, { partner: "carrier", id: transportId });
  await enqueueArrangement(tx, transportId);
  return { kind: "requested", transportId, reference };
}

/** Asks the rules before anyone asks the carrier: a first transport, or one instead of another. */
async function judge(tx: Transaction, vehicleId: string): Promise<Refusal | null> {
  const judged = await judgeVehicle(tx, {
    vehicleId,
    event: "transportArranged",
    orElse: "transportReplaced",
    set: { transport: "arranged" },
  });
  return judged.kind === "moved" ? null : refuseByRule(judged);
}
