import type { NotificationSubject } from "../../lifecycle/events.ts";
import type { Transaction } from "../../store/database.ts";

/** The things a notification is about, as far as the subject leads to them. */
export type SubjectMatter = {
  expedienteId: string | null;
  vehicleId: string | null;
  activationId: string | null;
  paymentId: string | null;
  customerId: string | null;
  dealershipId: string | null;
};

/**
 * Follows a subject to its customer: whoever bought the service, made the payment or bought the car, in this
 * order; for a car alone, its owner, or before delivery its buyer.
 */
export async function findSubjectMatter(
  tx: Transaction,
  subject: NotificationSubject,
): Promise<SubjectMatter> {
  const payment = await findPayment(tx, subject.paymentId);
  const activationId = subject.activationId ?? payment?.activation_id ?? null;
  const activation = await findActivation(tx, activationId);
  const vehicleId = subject.vehicleId ?? activation?.vehicle_id ?? null;
  const sale = await findSale(tx, subject.expedienteId ?? payment?.expediente_id ?? null, vehicleId);
  return {
    expedienteId: sale?.id ?? null,
    vehicleId: vehicleId ?? sale?.vehicle_id ?? null,
    activationId,
    paymentId: subject.paymentId ?? null,
    customerId:
      activation?.customer_id ??
      payment?.customer_id ??
      (subject.expedienteId === undefined ? sale?.owner_customer_id : null) ??
      sale?.customer_id ??
      (await findOwner(tx, vehicleId)),
    dealershipId: sale?.dealership_id ?? null,
  };
}

async function findPayment(tx: Transaction, paymentId: string | undefined) {
  if (paymentId === undefined) return undefined;
  return tx
    .selectFrom("payments")
    .select(["expediente_id", "activation_id", "customer_id"])
    .where("id", "=", paymentId)
    .executeTakeFirst();
}

async function findActivation(tx: Transaction, activationId: string | null) {
  if (activationId === null) return undefined;
  return tx
    .selectFrom("activations")
    .select(["vehicle_id", "customer_id"])
    .where("id", "=", activationId)
    .executeTakeFirst();
}

/** A car may be here without having been sold here. */
async function findOwner(tx: Transaction, vehicleId: string | null): Promise<string | null> {
  if (vehicleId === null) return null;
  const row = await tx
    .selectFrom("vehicles")
    .select("owner_customer_id")
    .where("id", "=", vehicleId)
    .executeTakeFirst();
  return row?.owner_customer_id ?? null;
}

async function findSale(tx: Transaction, expedienteId: string | null, vehicleId: string | null) {
  if (expedienteId === null && vehicleId === null) return undefined;
  const query = tx
    .selectFrom("expedientes")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .select([
      "expedientes.id",
      "expedientes.vehicle_id",
      "expedientes.customer_id",
      "expedientes.dealership_id",
      "vehicles.owner_customer_id",
    ])
    .orderBy("expedientes.created_at", "desc")
    .limit(1);
  return expedienteId === null
    ? query.where("expedientes.vehicle_id", "=", vehicleId).executeTakeFirst()
    : query.where("expedientes.id", "=", expedienteId).executeTakeFirst();
}
