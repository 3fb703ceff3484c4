import { sql } from "kysely";
import type { NotificationSubject } from "../../lifecycle/events.ts";
import type { Transaction } from "../../store/database.ts";
import { newestSaleOf } from "../../store/newest-sale.ts";
import type { View } from "./view.ts";

/** What a message is about, as far as its subject leads, and what it can say. */
export type About = {
  expedienteId: string | null;
  vehicleId: string | null;
  activationId: string | null;
  dealershipId: string | null;
  /** The buyer of the service, the payer or the buyer of the car, in this order; for a car alone, its owner first. */
  customer: { id: string; name: string; email: string; phone: string } | null;
  view: Pick<
    View,
    "purchase" | "vehicle" | "registration" | "order" | "transport" | "payment" | "service" | "activation"
  >;
};

/**
 * Reads what messages can say, for any number of them in one statement, as it is in the transaction that causes them:
 * a message about the paint shop still says so when it is sent after the car has left it.
 *
 * @returns the items in their order, each with what its subject leads to
 */
export async function loadViews<Item extends { subject: NotificationSubject }>(
  tx: Transaction,
  items: readonly Item[],
): Promise<(Item & { about: About })[]> {
  const ids = (key: keyof NotificationSubject) => items.map(({ subject }) => subject[key] ?? null);
  const { rows } = await sql<About>`
    select sale.id as "expedienteId", vehicle.id as "vehicleId", activation.id as "activationId",
      sale.dealership_id as "dealershipId",
      case when customer.id is not null then json_build_object(
        'id', customer.id, 'name', customer.name, 'email', customer.email, 'phone', customer.phone) end as customer,
      json_build_object(
        'purchase', case when sale.id is not null then json_build_object(
          'reference', sale.reference, 'plan', sale.plan_comercial -> 'base' -> 'name', 'currency', sale.currency,
          'outstandingCents', sale.price_cents - sale.reservation_cents) end,
        'vehicle', case when sale.id is not null then json_build_object(
          'vin', vehicle.vin, 'plate', sale.registration_document -> 'plate', 'state', vehicle.state) end,
        'registration', sale.registration_document,
        'order', case when placed.id is not null then json_build_object(
          'factoryOrderId', placed.factory_order_id, 'milestone', placed.milestone,
          'progressPercent', placed.progress_percent, 'eta', placed.eta) end,
        'transport', case when transport.id is not null then json_build_object(
          'date', coalesce(transport.scheduled_date, transport.requested_date), 'driver', transport.driver) end,
        'payment', case when payment.id is not null then json_build_object(
          'kind', payment.kind, 'amountCents', payment.amount_cents, 'currency', payment.currency,
          'at', coalesce(payment.settled_at, payment.created_at)) end,
        'service', case when service.id is not null then json_build_object(
          'name', service.name, 'priceCents', activation.price_cents, 'currency', activation.currency,
          'durationDays', activation.duration_days) end,
        'activation', case when activation.id is not null then json_build_object(
          'id', activation.id, 'attemptsUsed', activation.attempts_used, 'endReason', activation.end_reason) end
      ) as view
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
    const about = rows[index];
    if (about === undefined) throw new Error(`${items.length} subjects, ${rows.length} views`);
    return { ...item, about };
  });
}
