import type { Matter } from "../../lifecycle/partner-requests.ts";
import type { Reader } from "../../store/database.ts";
import type { Database } from "../../store/schema.ts";

export type TransportStatus = Database["transports"]["status"];

/** A transport, and what the carrier is asked about it. */
export type TransportRow = {
  status: TransportStatus;
  carrierTransportId: string | null;
  scheduledDate: string | null;
  calledOffAt: Date | null;
  matter: Matter;
};

export async function readTransport(db: Reader, transportId: string): Promise<TransportRow> {
  const row = await db
    .selectFrom("transports")
    .innerJoin("expedientes", "expedientes.id", "transports.expediente_id")
    .where("transports.id", "=", transportId)
    .select([
      "transports.status",
      "transports.reference",
      "transports.carrier_transport_id as carrierTransportId",
      "transports.scheduled_date as scheduledDate",
      "transports.called_off_at as calledOffAt",
      "expedientes.id as expedienteId",
      "expedientes.vehicle_id as vehicleId",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no transport ${transportId}`));
  const { reference, expedienteId, vehicleId, ...transport } = row;
  return {
    ...transport,
    matter: { partner: "carrier", id: transportId, reference, subject: { expedienteId, vehicleId } },
  };
}

/** The day it is announced for; before, no news is expected. */
export function expectedAtOf({ scheduledDate }: Pick<TransportRow, "scheduledDate">): Date | null {
  return scheduledDate === null ? null : new Date(scheduledDate);
}
