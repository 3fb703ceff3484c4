import type { Transaction } from "../../store/database.ts";
import type { SubjectMatter } from "./subject-matter.ts";
import { emptyView, type View } from "./view.ts";

/**
 * Reads what a message may say, as it stands in the transaction that causes it: a message about the paint shop
 * still says so when it is sent after the car has left it.
 */
export async function loadView(
  tx: Transaction,
  matter: SubjectMatter,
  recipientName: string,
  detail: View["detail"],
): Promise<View> {
  const sale = await loadSale(tx, matter.expedienteId);
  return {
    ...emptyView,
    ...sale,
    recipient: { name: recipientName },
    order: await loadOrder(tx, matter.expedienteId),
    transport: await loadTransport(tx, matter.expedienteId),
    payment: await loadPayment(tx, matter),
    ...(await loadActivation(tx, matter.activationId)),
    detail,
  };
}

async function loadSale(
  tx: Transaction,
  expedienteId: string | null,
): Promise<Pick<View, "purchase" | "vehicle" | "registration">> {
  const row =
    expedienteId === null
      ? undefined
      : await tx
          .selectFrom("expedientes")
          .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
          .where("expedientes.id", "=", expedienteId)
          .select([
            "expedientes.reference",
            "expedientes.plan_comercial",
            "expedientes.currency",
            "expedientes.price_cents",
            "expedientes.reservation_cents",
            "expedientes.registration_document",
            "vehicles.vin",
            "vehicles.state",
          ])
          .executeTakeFirst();
  if (row === undefined) return { purchase: null, vehicle: null, registration: null };
  const registration = row.registration_document;
  return {
    purchase: {
      reference: row.reference,
      plan: row.plan_comercial.base.name,
      currency: row.currency,
      outstandingCents: row.price_cents - row.reservation_cents,
    },
    vehicle: { vin: row.vin, plate: registration?.plate ?? null, state: row.state },
    registration,
  };
}

async function loadOrder(tx: Transaction, expedienteId: string | null): Promise<View["order"]> {
  if (expedienteId === null) return null;
  const row = await tx
    .selectFrom("orders")
    .where("expediente_id", "=", expedienteId)
    .select(["factory_order_id", "milestone", "progress_percent", "eta"])
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    factoryOrderId: row.factory_order_id,
    milestone: row.milestone,
    progressPercent: row.progress_percent,
    eta: row.eta,
  };
}

async function loadTransport(tx: Transaction, expedienteId: string | null): Promise<View["transport"]> {
  if (expedienteId === null) return null;
  const row = await tx
    .selectFrom("transports")
    .where("expediente_id", "=", expedienteId)
    .where("status", "not in", ["requested", "replaced", "refused"])
    .orderBy("requested_at", "desc")
    .limit(1)
    .select(["scheduled_date", "requested_date", "driver"])
    .executeTakeFirst();
  return row === undefined ? null : { date: row.scheduled_date ?? row.requested_date, driver: row.driver };
}

/** The payment named, or else the expediente's or the activation's newest. */
async function loadPayment(tx: Transaction, matter: SubjectMatter): Promise<View["payment"]> {
  const base = tx
    .selectFrom("payments")
    .orderBy("created_at", "desc")
    .limit(1)
    .select(["kind", "amount_cents", "currency", "created_at", "settled_at"]);
  const query =
    matter.paymentId !== null
      ? base.where("id", "=", matter.paymentId)
      : matter.activationId !== null
        ? base.where("activation_id", "=", matter.activationId)
        : base.where("expediente_id", "=", matter.expedienteId);
  const row = await query.executeTakeFirst();
  if (row === undefined) return null;
  const { kind, amount_cents: amountCents, currency } = row;
  return { kind, amountCents, currency, at: row.settled_at ?? row.created_at };
}

async function loadActivation(
  tx: Transaction,
  activationId: string | null,
): Promise<Pick<View, "service" | "activation">> {
  const row =
    activationId === null
      ? undefined
      : await tx
          .selectFrom("activations")
          .innerJoin("catalog_services", "catalog_services.id", "activations.service_id")
          .where("activations.id", "=", activationId)
          .select([
            "activations.id",
            "activations.attempts_used",
            "activations.end_reason",
            "activations.price_cents",
            "activations.currency",
            "activations.duration_days",
            "catalog_services.name",
          ])
          .executeTakeFirst();
  if (row === undefined) return { service: null, activation: null };
  return {
    service: {
      name: row.name,
      priceCents: row.price_cents,
      currency: row.currency,
      durationDays: row.duration_days,
    },
    activation: { id: row.id, attemptsUsed: row.attempts_used, endReason: row.end_reason },
  };
}
