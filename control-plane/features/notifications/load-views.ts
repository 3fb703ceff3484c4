import { sql } from "kysely";
import type { NotificationSubject } from "../../lifecycle/events.ts";
import type { Transaction } from "../../store/database.ts";
import { newestSaleOf } from "../../store/newest-sale.ts";
import { emptyView, type View } from "./view.ts";

/** The things that a message's subject leads to, and the facts that the message can use. */
export type About = {
  expedienteId: string | null;
  vehicleId: string | null;
  activationId: string | null;
  dealershipId: string | null;
  /** The buyer of the service, the payer or the buyer of the car, in this order; for a car alone, its owner first. */
  customer: { id: string; name: string; email: string; phone: string } | null;
  view: Omit<View, "recipient">;
};

/**
 * Loads the facts for any number of messages in one statement, as they are in the transaction that causes the messages:
 * a message about the paint shop still says so when it is sent after the car has left it.
 *
 * @returns the items in their order, each with the things its subject leads to
 */
export async function loadViews<Item extends { subject: NotificationSubject }>(
  tx: Transaction,
  items: readonly Item[],
): Promise<(Item & { about: About })[]> {
  const ids = (key: keyof NotificationSubject) => items.map(({ subject }) => subject[key] ?? null);
  const { rows } = await sql<Row>`
    select sale.id as "expedienteId", sale.dealership_id as "dealershipId", sale.reference,
           sale.plan_comercial -> 'base' ->> 'name' as plan, sale.currency as "saleCurrency",
           sale.price_cents - sale.reservation_cents as "outstandingCents", sale.registration_document as registration,
           vehicle.id as "vehicleId", vehicle.vin,
           customer.id as "customerId", customer.email,
           coalesce(own.buyer ->> 'contactPerson', own.buyer ->> 'name', customer.name) as name,
           coalesce(own.buyer ->> 'phone', customer.phone) as phone,
           placed.id as "orderId", placed.factory_order_id as "factoryOrderId", placed.milestone,
           placed.progress_percent as "progressPercent", placed.eta,
           coalesce(transport.scheduled_date, transport.requested_date) as "transportDate", transport.driver,
           payment.kind as "paymentKind", coalesce(payment.captured_cents, payment.amount_cents) as "amountCents", payment.currency as "paymentCurrency",
           coalesce(payment.settled_at, payment.created_at) as "paidAt",
           activation.id as "activationId", activation.attempts_used as "attemptsUsed",
           activation.end_reason as "endReason", activation.price_cents as "priceCents",
           activation.currency as "serviceCurrency", activation.duration_days as "durationDays", service.name as service
    from unnest(${ids("expedienteId")}::uuid[], ${ids("vehicleId")}::uuid[], ${ids("activationId")}::uuid[],
                ${ids("paymentId")}::uuid[]) with ordinality
      as asked (expediente_id, vehicle_id, activation_id, payment_id, position)
    left join payments named on named.id = asked.payment_id
    left join activations activation on activation.id = coalesce(asked.activation_id, named.activation_id)
    left join catalog_services service on service.id = activation.service_id
    left join expedientes sale on sale.id = coalesce(asked.expediente_id, named.expediente_id,
      ${newestSaleOf(sql`coalesce(asked.vehicle_id, activation.vehicle_id)`)})
    left join vehicles vehicle on vehicle.id = coalesce(asked.vehicle_id, activation.vehicle_id, sale.vehicle_id)
    left join customers customer on customer.id = coalesce(activation.customer_id, named.customer_id,
      case when asked.expediente_id is null then vehicle.owner_customer_id end,
      sale.customer_id, vehicle.owner_customer_id)
    -- Each sale has its own buyer, and a car that was sold on another one.
    left join expedientes own on own.id = sale.id and own.customer_id = customer.id
    left join payments payment on payment.id = coalesce(named.id,
      case when activation.id is not null then (select id from payments where activation_id = activation.id)
      else (select id from payments where expediente_id = sale.id order by created_at desc limit 1) end)
    left join orders placed on placed.expediente_id = sale.id
    left join transports transport on transport.id = (
      select id from transports
      where expediente_id = sale.id and status not in ('requested', 'replaced', 'refused')
      order by requested_at desc limit 1)
    order by asked.position`.execute(tx);
  return items.map((item, index) => {
    const row = rows[index];
    if (row === undefined) throw new Error(`${items.length} subjects, ${rows.length} views`);
    return { ...item, about: aboutOf(row) };
  });
}

/** A left join's columns: all there, or none. */
type Joined<Columns> = Columns | { [Name in keyof Columns]: null };

type Row = { vehicleId: string | null; vin: string | null } & Joined<{
  expedienteId: string;
  dealershipId: string;
  reference: string;
  plan: string;
  saleCurrency: string;
  outstandingCents: number;
  registration: View["registration"];
}> &
  Joined<{ customerId: string; name: string; email: string; phone: string }> &
  Joined<{ orderId: string } & NonNullable<View["order"]>> &
  Joined<{ transportDate: string; driver: string | null }> &
  Joined<{ paymentKind: string; amountCents: number; paymentCurrency: string; paidAt: Date }> &
  Joined<{
    activationId: string;
    attemptsUsed: number;
    endReason: string | null;
    priceCents: number;
    serviceCurrency: string;
    durationDays: number;
    service: string;
  }>;

function aboutOf(row: Row): About {
  const { expedienteId, vehicleId, activationId, dealershipId } = row;
  const { customerId: id, name, email, phone } = row;
  const customer = id === null ? null : { id, name, email, phone };
  return { expedienteId, vehicleId, activationId, dealershipId, customer, view: viewOf(row) };
}

function viewOf(row: Row): About["view"] {
  const isSale = row.expedienteId !== null;
  const isService = row.activationId !== null;
  return {
    ...emptyView,
    purchase: isSale
      ? {
          reference: row.reference,
          plan: row.plan,
          currency: row.saleCurrency,
          outstandingCents: row.outstandingCents,
        }
      : null,
    vehicle: isSale ? { vin: row.vin, plate: row.registration?.plate ?? null } : null,
    registration: row.registration,
    order:
      row.orderId === null
        ? null
        : {
            factoryOrderId: row.factoryOrderId,
            milestone: row.milestone,
            progressPercent: row.progressPercent,
            eta: row.eta,
          },
    transport: row.transportDate === null ? null : { date: row.transportDate, driver: row.driver },
    payment:
      row.paymentKind === null
        ? null
        : {
            kind: row.paymentKind,
            amountCents: row.amountCents,
            currency: row.paymentCurrency,
            at: row.paidAt,
          },
    service: isService
      ? {
          name: row.service,
          priceCents: row.priceCents,
          currency: row.serviceCurrency,
          durationDays: row.durationDays,
        }
      : null,
    activation: isService
      ? { id: row.activationId, attemptsUsed: row.attemptsUsed, endReason: row.endReason }
      : null,
  };
}
