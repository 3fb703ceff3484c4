import type { Context } from "../../lifecycle/context.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import { askPartner, expectNews, expectNothing, type Matter } from "../../lifecycle/partner-requests.ts";
import type { Carrier, CarrierTransport, TransportRequest } from "../../partners/transport.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueueCallingOff } from "./jobs.ts";

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
  await askPartner(context, matterOf(asked), attempt, {
    ask: (tries) => carrier.arrange(asked.request, tries),
    async record(tx, arranged) {
      if (await isStillAsked(tx, transportId)) await recordArranged(context, tx, asked, arranged);
    },
    // The dealership chooses another day or carrier (FA15).
    refusalTask: "transportRefused",
    async onRefused(tx) {
      await tx
        .updateTable("transports")
        .set({ status: "refused" })
        .where("id", "=", transportId)
        .where("status", "=", "requested")
        .execute();
    },
  });
}

function matterOf({ transportId: id, expedienteId, vehicleId, request }: Asked): Matter {
  return { partner: "carrier", id, reference: request.reference, subject: { expedienteId, vehicleId } };
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
  await expectNews(context, tx, matterOf(asked), new Date(arranged.date));
  const move = {
    vehicleId: asked.vehicleId,
    // Half automated (AU9): a person at the dealership started it, so the step is theirs.
    actor: { kind: "staff", id: asked.arrangedBy },
    set: { transport: "arranged", back_at_dealership: false },
    detail: { reference: asked.request.reference, date: arranged.date, driver: arranged.driver },
  } as const;
  const [first] = await moveVehicles(context, tx, [{ ...move, event: "transportArranged" }]);
  if (first.kind === "moved") return;
  const [replacement] = await moveVehicles(context, tx, [{ ...move, event: "transportReplaced" }]);
  // The first carrier may have arrived after all while the second was being asked: then that one is not needed.
  await callOffOthers(tx, asked, replacement.kind === "moved" ? "others" : "this");
}

/** One transport is to come for the car: those that it needs no more are called off at the carrier. */
async function callOffOthers(tx: Transaction, asked: Asked, unneeded: "others" | "this"): Promise<void> {
  const replaced = await tx
    .updateTable("transports")
    .set({ status: "replaced" })
    .where("expediente_id", "=", asked.expedienteId)
    .where("id", unneeded === "this" ? "=" : "<>", asked.transportId)
    .where("status", "in", ["scheduled", "started"])
    .returning("id")
    .execute();
  for (const { id } of replaced) await expectNothing(tx, { partner: "carrier", id });
  await enqueueCallingOff(
    tx,
    replaced.map(({ id }) => id),
  );
}
