import type { Context } from "../../lifecycle/context.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import type { Carrier, CarrierTransport, TransportRequest } from "../../partners/transport.ts";
import type { Transaction } from "../../store/database.ts";

type Asked = {
  transportId: string;
  expedienteId: string;
  vehicleId: string;
  arrangedBy: string;
  request: TransportRequest;
};

/**
 * Asks the carrier and records driver, day and route. Runs at least once: an arranged transport is left alone.
 */
export async function arrangeTransport(
  context: Context,
  carrier: Carrier,
  transportId: string,
  attempt: number,
): Promise<void> {
  const asked = await loadAsked(context, transportId);
  if (asked === null) return;
  const answer = await carrier.arrange(asked.request, attempt);
  await context.db.transaction().execute(async (tx) => {
    if (!(await isStillAsked(tx, transportId))) return;
    if (answer.kind === "ok") await recordArranged(context, tx, asked, answer.value);
    else await recordRefused(context, tx, asked, `${answer.code}: ${answer.message}`);
  });
}

/** `null` when there is nothing left to ask. */
async function loadAsked(context: Context, transportId: string): Promise<Asked | null> {
  const row = await context.db
    .selectFrom("transports")
    .innerJoin("expedientes", "expedientes.id", "transports.expediente_id")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .where("transports.id", "=", transportId)
    .select([
      "transports.status",
      "transports.reference",
      "transports.requested_date",
      "transports.arranged_by",
      "transports.expediente_id",
      "expedientes.vehicle_id",
      "vehicles.vin",
      "expedientes.buyer",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no transport ${transportId}`));
  if (row.status !== "requested") return null;
  if (row.vin === null) throw new Error(`vehicle ${row.vehicle_id} is to be transported without a VIN`);
  return {
    transportId,
    expedienteId: row.expediente_id,
    vehicleId: row.vehicle_id,
    arrangedBy: row.arranged_by,
    request: {
      reference: row.reference,
      vin: row.vin,
      date: row.requested_date,
      destination: row.buyer.address,
      contactPhone: row.buyer.phone,
    },
  };
}

async function isStillAsked(tx: Transaction, transportId: string): Promise<boolean> {
  const row = await tx
    .selectFrom("transports")
    .select("status")
    .where("id", "=", transportId)
    .forUpdate()
    .executeTakeFirst();
  return row?.status === "requested";
}

async function recordArranged(
  context: Context,
  tx: Transaction,
  asked: Asked,
  arranged: CarrierTransport,
): Promise<void> {
  await tx
    .updateTable("transports")
    .set({
      status: "scheduled",
      carrier_transport_id: arranged.transportId,
      scheduled_date: arranged.date,
      driver: arranged.driver,
      route: JSON.stringify(arranged.route),
    })
    .where("id", "=", asked.transportId)
    .execute();
  const move = {
    vehicleId: asked.vehicleId,
    // Half automated (AU9): a person at the dealership started it, so the step is theirs.
    actor: { kind: "staff", id: asked.arrangedBy },
    set: { transport: "arranged" },
    detail: { reference: asked.request.reference, date: arranged.date, driver: arranged.driver },
  } as const;
  const [first] = await moveVehicles(context, tx, [{ ...move, event: "transportArranged" }]);
  if (first.kind === "moved") return;
  const [replacement] = await moveVehicles(context, tx, [{ ...move, event: "transportReplaced" }]);
  if (replacement.kind === "moved") {
    await markReplaced(tx, asked);
    return;
  }
  // The first carrier has arrived after all while the second was being asked: that one is not needed.
  await tx
    .updateTable("transports")
    .set({ status: "replaced" })
    .where("id", "=", asked.transportId)
    .execute();
  await context.publish(tx, "taskNeeded", [
    {
      kind: "transportNotNeeded",
      facts: { reference: asked.request.reference },
      detail: { reference: asked.request.reference, carrierTransportId: arranged.transportId },
      subject: { expedienteId: asked.expedienteId, vehicleId: asked.vehicleId },
    },
  ]);
}

async function markReplaced(tx: Transaction, asked: Asked): Promise<void> {
  await tx
    .updateTable("transports")
    .set({ status: "replaced" })
    .where("expediente_id", "=", asked.expedienteId)
    .where("id", "<>", asked.transportId)
    .where("status", "in", ["scheduled", "started"])
    .execute();
}

/** The carrier will not do it as asked: the dealership chooses another day or carrier (FA15). */
async function recordRefused(context: Context, tx: Transaction, asked: Asked, reason: string): Promise<void> {
  await tx.updateTable("transports").set({ status: "refused" }).where("id", "=", asked.transportId).execute();
  await context.publish(tx, "taskNeeded", [
    {
      kind: "transportRefused",
      facts: { reference: asked.request.reference },
      detail: { reference: asked.request.reference, reason },
      subject: { expedienteId: asked.expedienteId, vehicleId: asked.vehicleId },
    },
  ]);
}
