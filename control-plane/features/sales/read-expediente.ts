import { describeProgress } from "../../http/partner-progress.ts";
import { readProgress } from "../../lifecycle/partner-requests.ts";
import { computeFinalPayment } from "../../rules/pricing.ts";
import type { Reader } from "../../store/database.ts";
import type { ExpedienteRecord } from "./record-schema.ts";

/** The complete customer record (DA17): every entity the specification's data flow brings into it. */
export async function readExpediente(db: Reader, expedienteId: string): Promise<ExpedienteRecord> {
  const row = await db
    .selectFrom("expedientes")
    .innerJoin("customers", "customers.id", "expedientes.customer_id")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .innerJoin("dealerships", "dealerships.id", "expedientes.dealership_id")
    .innerJoin("auth_users", "auth_users.id", "expedientes.sold_by")
    .where("expedientes.id", "=", expedienteId)
    .selectAll("expedientes")
    .select([
      "customers.email",
      "vehicles.state as vehicle_state",
      "vehicles.app_linked_at",
      "dealerships.name as dealership",
      "auth_users.name as employee",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${expedienteId}`));
  const rest = computeFinalPayment(row.price_cents, row.reservation_cents);
  if (rest.kind === "refused") throw new Error(`expediente ${row.reference}: ${rest.message}`);
  const order = await readOrder(db, expedienteId);
  const payments = await readPayments(db, expedienteId, row.vehicle_id, row.customer_id);
  const registration = await readRegistration(db, expedienteId);
  const transport = await readTransport(db, expedienteId);
  const activations = await readActivations(db, row.vehicle_id, row.customer_id);
  return {
    id: expedienteId,
    reference: row.reference,
    status: row.status,
    soldAt: row.created_at.toISOString(),
    soldBy: { dealershipId: row.dealership_id, dealership: row.dealership, employee: row.employee },
    customer: {
      id: row.customer_id,
      email: row.email,
      ...row.buyer,
    },
    planComercial: { base: row.plan_comercial.base, options: [...row.plan_comercial.options] },
    priceCents: row.price_cents,
    reservationCents: row.reservation_cents,
    finalPaymentCents: rest.finalPaymentCents,
    currency: row.currency,
    credentials: { username: row.username, issuedAt: toIso(row.credentials_issued_at) },
    vehicle: {
      id: row.vehicle_id,
      vin: row.vin,
      state: row.vehicle_state,
      appLinkedAt: toIso(row.app_linked_at),
    },
    order,
    payments,
    registration,
    registrationDocument: row.registration_document,
    transport,
    delivery: row.delivery,
    activations,
  };
}

async function readOrder(db: Reader, expedienteId: string): Promise<ExpedienteRecord["order"]> {
  const row = await db
    .selectFrom("orders")
    .where("expediente_id", "=", expedienteId)
    .selectAll()
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    id: row.id,
    reference: row.reference,
    factoryOrderId: row.factory_order_id,
    status: row.status,
    configuration: { base: row.configuration.base, options: [...row.configuration.options] },
    progressPercent: row.progress_percent,
    milestone: row.milestone,
    eta: toIso(row.eta),
    vin: row.vin,
    placedAt: toIso(row.placed_at),
    ...describeProgress(await readProgress(db, row.id)),
  };
}

/** Of the sale, and of the services this customer bought for this car. */
async function readPayments(
  db: Reader,
  expedienteId: string,
  vehicleId: string,
  customerId: string,
): Promise<ExpedienteRecord["payments"]> {
  const rows = await db
    .selectFrom("payments")
    .leftJoin("activations", "activations.id", "payments.activation_id")
    .where((or) =>
      or.or([
        or("payments.expediente_id", "=", expedienteId),
        or.and([
          or("activations.vehicle_id", "=", vehicleId),
          or("activations.customer_id", "=", customerId),
        ]),
      ]),
    )
    .orderBy("payments.id")
    .selectAll("payments")
    .execute();
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    amountCents: row.amount_cents,
    currency: row.currency,
    method: row.method,
    status: row.status,
    declineReason: row.decline_reason,
    createdAt: row.created_at.toISOString(),
    settledAt: toIso(row.settled_at),
  }));
}

async function readRegistration(db: Reader, expedienteId: string): Promise<ExpedienteRecord["registration"]> {
  const row = await db
    .selectFrom("registrations")
    .where("expediente_id", "=", expedienteId)
    .select(["id", "reference", "status", "requested_at"])
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    reference: row.reference,
    status: row.status,
    requestedAt: row.requested_at.toISOString(),
    ...describeProgress(await readProgress(db, row.id)),
  };
}

/** For customers: what a partner says of us is between it and us. */
export function withoutPartnersWords(record: ExpedienteRecord): ExpedienteRecord {
  const { order, registration, transport } = record;
  return {
    ...record,
    order: order === null ? null : { ...order, lastError: null },
    registration: registration === null ? null : { ...registration, lastError: null },
    transport: transport === null ? null : { ...transport, lastError: null },
  };
}

/** The newest: a replaced carrier's transport is history, kept in the steps. */
async function readTransport(db: Reader, expedienteId: string): Promise<ExpedienteRecord["transport"]> {
  const row = await db
    .selectFrom("transports")
    .where("expediente_id", "=", expedienteId)
    .orderBy("id", "desc")
    .limit(1)
    .selectAll()
    .executeTakeFirst();
  if (row === undefined) return null;
  return {
    id: row.id,
    reference: row.reference,
    status: row.status,
    date: row.scheduled_date ?? row.requested_date,
    driver: row.driver,
    route: row.route === null ? null : [...row.route],
    ...describeProgress(await readProgress(db, row.id)),
  };
}

async function readActivations(
  db: Reader,
  vehicleId: string,
  customerId: string,
): Promise<ExpedienteRecord["activations"]> {
  const rows = await db
    .selectFrom("activations")
    .innerJoin("catalog_services", "catalog_services.id", "activations.service_id")
    .where("activations.vehicle_id", "=", vehicleId)
    .where("activations.customer_id", "=", customerId)
    .orderBy("activations.id")
    .selectAll("activations")
    .select("catalog_services.code as service")
    .execute();
  return rows.map((row) => ({
    id: row.id,
    service: row.service,
    state: row.state,
    priceCents: row.price_cents,
    durationDays: row.duration_days,
    createdAt: row.created_at.toISOString(),
    endedAt: toIso(row.ended_at),
  }));
}

function toIso(instant: Date | null): string | null {
  return instant === null ? null : instant.toISOString();
}
