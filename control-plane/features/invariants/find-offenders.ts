import { minuteMs } from "@caas/contract/durations.ts";
import { sql } from "kysely";
import { heldByTheCar } from "../../rules/statuses.ts";
import type { Reader } from "../../store/database.ts";

// The two promises to a paying customer, watched all the time. An offender is a customer who is being wronged, or a
// service given away, right now. Differences that are tolerated for a while (a presumed payment until its deadline, a
// charge-back until the car has let go, money that came back to us after the service was taken back, until a person has
// settled it with the customer) are counted apart.

export const invariants = ["moneyWithoutService", "serviceWithoutMoney"] as const;
export type Invariant = (typeof invariants)[number];

/** Why a difference between money and service is no violation. */
export const tolerances = ["presumed", "chargeBack", "owed"] as const;
export type Tolerance = (typeof tolerances)[number];

export type Offender = {
  invariant: Invariant;
  /** `null`: it breaks the invariant. */
  tolerance: Tolerance | null;
  activationId: string;
  vehicleId: string;
  /** Since when it has been so, business time. */
  since: Date;
  activationState: string;
  paymentStatus: string;
};

/** Business time in which the next step may still be on its way: a capture retried, a removal not yet fetched. */
export const graceMs = 15 * minuteMs;

/**
 * Every activation whose money and service differ at `now`; those with a `tolerance` break no invariant.
 *
 * `moneyWithoutService`: captured and not given back, and the activation was not proved, or its term was over when the
 * money was taken, or it was taken back; or presumed and not proved, when its deadline to be known has passed.
 * `serviceWithoutMoney`: proved and running in a car that is online, and not captured beyond the grace; a withdrawn
 * service counts from its withdrawal until the car no longer holds it, a presumed one from its deadline on.
 */
export async function findOffenders(reader: Reader, now: Date): Promise<Offender[]> {
  const deadline = new Date(now.getTime() - graceMs);
  const { rows } = await sql<Offender>`
    select 'moneyWithoutService' as invariant,
           case when a.state = 'ServiceActive' and e.end_reason in ('chargeBack', 'refunded') then 'owed' end as tolerance,
           a.id as "activationId",
           a.vehicle_id as "vehicleId", greatest(p.settled_at, e.withdrawn_at) as since, a.state as "activationState", p.status as "paymentStatus"
    from payments p join activations a on a.id = p.activation_id
      left join entitlements e on e.id = a.entitlement_id
    where p.kind = 'service' and p.status = 'captured'
      and p.refunded_cents < coalesce(p.captured_cents, p.amount_cents)
      and (a.state <> 'ServiceActive' or e.valid_until <= p.settled_at or e.end_reason in ('chargeBack', 'refunded'))
    union all
    select 'moneyWithoutService', case when r.reconcile_by > ${now} then 'presumed' end, a.id, a.vehicle_id,
           case when r.reconcile_by > ${now} then r.presumed_at else r.reconcile_by end, a.state, p.status
    from presumptions r join payments p on p.id = r.payment_id join activations a on a.id = p.activation_id
    where r.outcome = 'open' and a.state <> 'ServiceActive'
    union all
    select 'serviceWithoutMoney',
           case when p.status = 'chargedBack' then 'chargeBack'
                when p.status = 'presumed' and r.reconcile_by > ${now} then 'presumed' end,
           a.id, a.vehicle_id,
           case when p.status = 'presumed' and r.reconcile_by <= ${now} then r.reconcile_by
                else coalesce(e.withdrawn_at, e.proved_at, e.created_at) end,
           a.state, p.status
    from entitlements e
      join activations a on a.entitlement_id = e.id
      join payments p on p.activation_id = a.id
      join vehicle_links l on l.vehicle_id = e.vehicle_id
      left join presumptions r on r.payment_id = p.id
    where e.source = 'service' and e.state in (${sql.join(heldByTheCar)}) and p.status <> 'captured'
      and (coalesce(e.withdrawn_at, e.proved_at) <= ${deadline} or p.status in ('presumed', 'chargedBack')) and l.presence = 'online'
    order by since`.execute(reader);
  return rows;
}
