import { sql } from "kysely";
import type { Reader } from "../../store/database.ts";

// The two promises to a paying customer, watched all the time. An offender is not an error report: it is a
// customer who is being wronged, or a service given away, right now.

export const invariants = ["moneyWithoutService", "serviceWithoutMoney"] as const;
export type Invariant = (typeof invariants)[number];

export type Offender = {
  invariant: Invariant;
  activationId: string;
  vehicleId: string;
  /** Since when it has been so, business time. */
  since: Date;
  activationState: string;
  paymentStatus: string;
};

/** Business time in which the next step may still be on its way: a capture retried, a removal not yet fetched. */
export const graceMs = 15 * 60_000;

/**
 * Every activation that breaks an invariant at `now`.
 *
 * `moneyWithoutService`: captured, and the activation was not proved. `serviceWithoutMoney`: proved and running in
 * a car that is online, and not captured beyond the grace; a withdrawn service counts until the car no longer
 * holds it.
 */
export async function findOffenders(reader: Reader, now: Date): Promise<Offender[]> {
  const deadline = new Date(now.getTime() - graceMs);
  const { rows } = await sql<{
    invariant: Invariant;
    activation_id: string;
    vehicle_id: string;
    since: Date;
    state: string;
    status: string;
  }>`
    select 'moneyWithoutService' as invariant, a.id as activation_id, a.vehicle_id, p.settled_at as since,
           a.state, p.status
    from payments p join activations a on a.id = p.activation_id
    where p.kind = 'service' and p.status = 'captured' and a.state <> 'ServiceActive'
    union all
    select 'serviceWithoutMoney', a.id, a.vehicle_id, coalesce(e.proved_at, e.created_at), a.state, p.status
    from entitlements e
      join activations a on a.entitlement_id = e.id
      join payments p on p.activation_id = a.id
      join vehicle_links l on l.vehicle_id = e.vehicle_id
    where e.source = 'service' and e.state in ('proved', 'ending') and p.status <> 'captured'
      and e.proved_at <= ${deadline} and l.presence = 'online'
    order by since`.execute(reader);
  return rows.map((row) => ({
    invariant: row.invariant,
    activationId: row.activation_id,
    vehicleId: row.vehicle_id,
    since: row.since,
    activationState: row.state,
    paymentStatus: row.status,
  }));
}
