import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents, NotificationSubject } from "../../lifecycle/events.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";

/** Writes the task down for its team; the dealership is the one that sold the car it is about. */
export async function openTask(
  context: Context,
  tx: Transaction,
  needed: DomainEvents["taskNeeded"],
): Promise<void> {
  const about = await findSale(tx, needed.subject);
  await tx
    .insertInto("tasks")
    .values({
      id: newId(),
      kind: needed.kind,
      team: needed.team,
      title: needed.title,
      detail: JSON.stringify(needed.detail ?? {}),
      expediente_id: about.expedienteId,
      vehicle_id: about.vehicleId,
      activation_id: needed.subject.activationId ?? null,
      dealership_id: about.dealershipId,
      created_at: context.clock.now(),
    })
    .execute();
}

type Sale = { expedienteId: string | null; vehicleId: string | null; dealershipId: string | null };

async function findSale(tx: Transaction, subject: NotificationSubject): Promise<Sale> {
  const vehicleId = subject.vehicleId ?? (await vehicleOfActivation(tx, subject.activationId));
  let query = tx
    .selectFrom("expedientes")
    .select(["id as expedienteId", "vehicle_id as vehicleId", "dealership_id as dealershipId"])
    .orderBy("created_at", "desc")
    .limit(1);
  if (subject.expedienteId !== undefined) query = query.where("id", "=", subject.expedienteId);
  else if (vehicleId !== null) query = query.where("vehicle_id", "=", vehicleId);
  else return { expedienteId: null, vehicleId: null, dealershipId: null };
  return (await query.executeTakeFirst()) ?? { expedienteId: null, vehicleId, dealershipId: null };
}

async function vehicleOfActivation(
  tx: Transaction,
  activationId: string | undefined,
): Promise<string | null> {
  if (activationId === undefined) return null;
  const row = await tx
    .selectFrom("activations")
    .select("vehicle_id")
    .where("id", "=", activationId)
    .executeTakeFirst();
  return row?.vehicle_id ?? null;
}
