import { sql } from "kysely";
import type { NotificationSubject } from "../../lifecycle/events.ts";
import type { Transaction } from "../../store/database.ts";
import type { PlanComercial } from "../../store/schema.ts";
import type { SubjectMatter } from "./subject-matter.ts";
import { emptyView, type View } from "./view.ts";

// Messages about services are as many as purchases: what they may say is read for all of them in one statement.

/** A subject that is a service and nothing else. */
export type ServiceSubject = NotificationSubject & { activationId: string; expedienteId?: never };

export function isServiceSubject(subject: NotificationSubject): subject is ServiceSubject {
  return subject.activationId !== undefined && subject.expedienteId === undefined;
}

export type ServiceNotice = {
  matter: SubjectMatter;
  customer: { name: string; email: string; phone: string | null };
  /** Without its recipient and detail. */
  view: Omit<View, "recipient" | "detail">;
};

type Row = {
  activation_id: string;
  vehicle_id: string;
  customer_id: string;
  customer_name: string;
  email: string;
  phone: string | null;
  attempts_used: number;
  end_reason: string | null;
  price_cents: number;
  currency: string;
  duration_days: number;
  service_name: string;
  vin: string | null;
  vehicle_state: string;
  payment_kind: string | null;
  payment_cents: number | null;
  payment_currency: string | null;
  payment_at: Date | null;
  expediente_id: string | null;
  dealership_id: string | null;
  reference: string | null;
  plan_comercial: PlanComercial | null;
  sale_currency: string | null;
  outstanding_cents: number | null;
  registration_document: { authorityId: string; plate: string; registeredOn: string } | null;
  has_order: boolean;
  factory_order_id: string | null;
  milestone: string | null;
  progress_percent: number | null;
  eta: Date | null;
  transport_date: string | null;
  driver: string | null;
};

/** By activation. What is said about the car's purchase is its newest's, as in every other message. */
export async function loadServiceNotices(
  tx: Transaction,
  activationIds: readonly string[],
): Promise<Map<string, ServiceNotice>> {
  const { rows } = await sql<Row>`
    select activation.id as activation_id, activation.vehicle_id, activation.customer_id,
           customer.name as customer_name, customer.email, customer.phone,
           activation.attempts_used, activation.end_reason, activation.price_cents, activation.currency,
           activation.duration_days, service.name as service_name, vehicle.vin, vehicle.state as vehicle_state,
           payment.kind as payment_kind, payment.amount_cents as payment_cents, payment.currency as payment_currency,
           coalesce(payment.settled_at, payment.created_at) as payment_at,
           sale.id as expediente_id, sale.dealership_id, sale.reference, sale.plan_comercial,
           sale.currency as sale_currency, sale.price_cents - sale.reservation_cents as outstanding_cents,
           sale.registration_document, placed.id is not null as has_order, placed.factory_order_id, placed.milestone,
           placed.progress_percent, placed.eta, transport.date as transport_date, transport.driver
    from unnest(${[...activationIds]}::uuid[]) as asked (id)
    join activations activation on activation.id = asked.id
    join catalog_services service on service.id = activation.service_id
    join customers customer on customer.id = activation.customer_id
    join vehicles vehicle on vehicle.id = activation.vehicle_id
    left join payments payment on payment.activation_id = activation.id
    left join lateral (
      select * from expedientes where vehicle_id = activation.vehicle_id order by created_at desc limit 1
    ) as sale on true
    left join lateral (select * from orders where expediente_id = sale.id limit 1) as placed on true
    left join lateral (
      select coalesce(scheduled_date, requested_date) as date, driver from transports
      where expediente_id = sale.id and status not in ('requested', 'replaced', 'refused')
      order by requested_at desc limit 1
    ) as transport on true`.execute(tx);
  return new Map(rows.map((row) => [row.activation_id, toNotice(row)]));
}

function toNotice(row: Row): ServiceNotice {
  const { name, email, phone } = { name: row.customer_name, email: row.email, phone: row.phone };
  return {
    matter: {
      expedienteId: row.expediente_id,
      vehicleId: row.vehicle_id,
      activationId: row.activation_id,
      paymentId: null,
      customerId: row.customer_id,
      dealershipId: row.dealership_id,
    },
    customer: { name, email, phone },
    view: {
      ...emptyView,
      ...saleOf(row),
      order: row.has_order
        ? {
            factoryOrderId: row.factory_order_id,
            milestone: row.milestone,
            progressPercent: row.progress_percent ?? 0,
            eta: row.eta,
          }
        : null,
      transport: row.transport_date === null ? null : { date: row.transport_date, driver: row.driver },
      payment: paymentOf(row),
      service: {
        name: row.service_name,
        priceCents: row.price_cents,
        currency: row.currency,
        durationDays: row.duration_days,
      },
      activation: { id: row.activation_id, attemptsUsed: row.attempts_used, endReason: row.end_reason },
    },
  };
}

function saleOf(row: Row): Pick<View, "purchase" | "vehicle" | "registration"> {
  const {
    reference,
    plan_comercial: plan,
    sale_currency: currency,
    outstanding_cents: outstandingCents,
  } = row;
  if (reference === null || plan === null || currency === null || outstandingCents === null)
    return { purchase: null, vehicle: null, registration: null };
  const registration = row.registration_document;
  return {
    purchase: { reference, plan: plan.base.name, currency, outstandingCents },
    vehicle: { vin: row.vin, plate: registration?.plate ?? null, state: row.vehicle_state },
    registration,
  };
}

function paymentOf(row: Row): View["payment"] {
  const { payment_kind: kind, payment_cents: amountCents, payment_currency: currency, payment_at: at } = row;
  if (kind === null || amountCents === null || currency === null || at === null) return null;
  return { kind, amountCents, currency, at };
}
