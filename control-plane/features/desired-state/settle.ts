import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { plainArray } from "../../store/plain-array.ts";
import { insertTimers } from "../../store/timers.ts";
import { isHeldBy } from "./list-entries.ts";

/** Due at the end of an entitlement's term. */
export const termTimer = "entitlementEnds";

export type Settled = {
  /** Cars that hold exactly what they should: what was ending there has ended. */
  holding: readonly string[];
  /** Cars that have just proved what they were sold with, or the step of a roll-out. */
  plans: readonly string[];
  /** Services just proved: each term begins when its car says it did. */
  services: readonly { activationId: string; appliedAt: Date }[];
};

/** What reports make of the entitlements: wanted → proved, ending → ended. */
export async function settle(
  context: Context,
  tx: Transaction,
  { holding, plans, services }: Settled,
): Promise<void> {
  if (holding.length + plans.length + services.length === 0) return;
  const now = context.clock.now();
  // What a car has applied replaces what it held under the same code.
  await sql`
    with finished as (
      update entitlements set state = 'ended', ended_at = ${now}
      where ${isHeldBy(holding)} and state = 'ending'
    ), proved as (
      update entitlements set state = 'proved', proved_at = ${now}
      where ${isHeldBy(plans)} and source = 'plan' and state = 'wanted'
      returning id, vehicle_id, code
    ), replaced as (
      update entitlements as former set state = 'ended', end_reason = 'replaced', ended_at = ${now}
      from proved
      where former.vehicle_id = proved.vehicle_id and former.ended_at is null and former.code = proved.code
        and former.id <> proved.id and former.source = 'plan' and former.state = 'proved'
    ), begun as (
      update entitlements as entitlement
      set state = 'proved', proved_at = ${now},
          valid_until = said.applied_at + make_interval(secs => entitlement.duration_seconds)
      from unnest(${plainArray(services.map(({ activationId }) => activationId))}::uuid[],
                  ${services.map(({ appliedAt }) => appliedAt)}::timestamptz[]) as said (activation_id, applied_at)
      join activations activation on activation.id = said.activation_id
      where entitlement.id = activation.entitlement_id and entitlement.state = 'wanted'
      returning entitlement.id, entitlement.valid_until
    )
    ${insertTimers(termTimer, sql`(select id, valid_until from begun where valid_until is not null)`)}`.execute(
    tx,
  );
}
