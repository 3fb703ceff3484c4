import { sql } from "kysely";
import { type Refusal, refuse } from "../../http/refusal.ts";
import { type Actor, actorId } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Reader, Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";

/** Rings, without content, after a revocation. */
export const revocationChannel = "caas_revocations";

export type Revoked = { serialNumber: string | null; reason: string; revokedAt: Date };

/**
 * Revokes a car, or one of its certificates. The services bought for it stay as they are: a car's access is one
 * question, a customer's entitlement another. Revoking twice is the same as once.
 */
export async function revoke(
  context: Context,
  tx: Transaction,
  asked: { vehicleId: string; serialNumber: string | null; reason: string; actor: Actor },
): Promise<{ kind: "revoked"; revocation: Revoked } | Refusal> {
  const { vehicleId, serialNumber, reason, actor } = asked;
  const vehicle = await tx
    .selectFrom("vehicles")
    .select("vin")
    .where("id", "=", vehicleId)
    .forUpdate()
    .executeTakeFirst();
  if (vehicle === undefined || vehicle.vin === null)
    return refuse("conflict", "the car has no identity yet: no VIN was assigned to it");
  if (serialNumber !== null) {
    const certificate = await tx
      .selectFrom("certificates")
      .select("serial_number")
      .where("vehicle_id", "=", vehicleId)
      .where("serial_number", "=", serialNumber)
      .executeTakeFirst();
    if (certificate === undefined)
      return refuse("unknownChoice", "the car has no certificate of that serial number", {
        field: "body.serialNumber",
      });
  }
  const known = (await listRevocations(tx, vehicleId)).find((one) => one.serialNumber === serialNumber);
  if (known !== undefined) return { kind: "revoked", revocation: known };

  const revokedAt = context.clock.now();
  await tx.updateTable("revocation_list").set({ version: sql`version + 1` }).execute();
  await tx
    .insertInto("revocations")
    .values({
      id: newId(),
      vehicle_id: vehicleId,
      vin: vehicle.vin,
      serial_number: serialNumber,
      reason,
      revoked_by: actorId(actor),
      revoked_at: revokedAt,
    })
    .execute();
  await recordSteps(tx, [
    {
      vehicleId,
      event: serialNumber === null ? "identityRevoked" : "certificateRevoked",
      automation: null,
      actor,
      at: revokedAt,
      detail: { reason, ...(serialNumber === null ? {} : { serialNumber }) },
    },
  ]);
  await sql`select pg_notify(${revocationChannel}, '')`.execute(tx);
  return { kind: "revoked", revocation: { serialNumber, reason, revokedAt } };
}

/**
 * The car has a new identity: what the former one had opens nothing any more, and the car itself is no longer shut
 * out. Both stay in its steps.
 */
export function createReplacementHandler(context: Context): EventHandler<"carEnrolledAgain"> {
  return each(async (tx, { vehicleId, serialNumber }) => {
    const now = context.clock.now();
    await tx.updateTable("revocation_list").set({ version: sql`version + 1` }).execute();
    await tx
      .deleteFrom("revocations")
      .where("vehicle_id", "=", vehicleId)
      .where("serial_number", "is", null)
      .execute();
    await sql`
      insert into revocations (id, vehicle_id, vin, serial_number, reason, revoked_by, revoked_at)
      select gen_random_uuid(), certificate.vehicle_id, vehicle.vin, certificate.serial_number,
             'the car was enrolled again', null, ${now}
      from certificates as certificate join vehicles as vehicle on vehicle.id = certificate.vehicle_id
      where certificate.vehicle_id = ${vehicleId} and certificate.serial_number <> ${serialNumber}
      on conflict do nothing`.execute(tx);
    await recordSteps(tx, [
      {
        vehicleId,
        event: "carEnrolledAgain",
        automation: null,
        actor: { kind: "vehicle", id: vehicleId },
        at: now,
        detail: { serialNumber },
      },
    ]);
    await sql`select pg_notify(${revocationChannel}, '')`.execute(tx);
  });
}

export async function listRevocations(reader: Reader, vehicleId: string): Promise<Revoked[]> {
  const rows = await reader
    .selectFrom("revocations")
    .select(["serial_number", "reason", "revoked_at"])
    .where("vehicle_id", "=", vehicleId)
    .orderBy("revoked_at")
    .execute();
  return rows.map((row) => ({
    serialNumber: row.serial_number,
    reason: row.reason,
    revokedAt: row.revoked_at,
  }));
}
