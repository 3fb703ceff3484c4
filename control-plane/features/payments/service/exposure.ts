import { sql } from "kysely";
import type { PresumptionLimits } from "../../../rules/presumption-policy.ts";
import type { Reader, Transaction } from "../../../store/database.ts";

// What is presumed and not known yet. A cap is held by the update itself, under its row's lock: however many purchases
// come at once, the sum never passes it. The row of all comes first, everywhere, and before any car's lock: a
// transaction that holds it never waits for one that waits for it, also where one transaction settles several.

export type ExposureTaken = { kind: "taken" } | { kind: "full"; rule: "PP6" | "PP7" };

/** The scope that counts all customers. */
const total = "all";

type Share = { customerId: string; amountCents: number };

export async function takeExposure(
  tx: Transaction,
  share: Share,
  limits: PresumptionLimits,
): Promise<ExposureTaken> {
  if (!(await addUpTo(tx, total, share.amountCents, limits.totalCapCents)))
    return { kind: "full", rule: "PP7" };
  if (await addUpTo(tx, share.customerId, share.amountCents, limits.customerCapCents))
    return { kind: "taken" };
  await subtract(tx, [{ scope: total, cents: share.amountCents }]);
  return { kind: "full", rule: "PP6" };
}

export async function giveExposureBack(tx: Transaction, shares: readonly Share[]): Promise<void> {
  const cents = shares.reduce((sum, { amountCents }) => sum + amountCents, 0);
  await subtract(tx, [{ scope: total, cents }]);
  await subtract(
    tx,
    shares.map(({ customerId, amountCents }) => ({ scope: customerId, cents: amountCents })),
  );
}

/** Open now, in cents. For facts and for people; it decides nothing, the updates do. */
export async function readExposure(
  reader: Reader,
  customerId: string,
): Promise<{ customerOpenCents: number; totalOpenCents: number }> {
  const rows = await reader
    .selectFrom("payment_exposure")
    .where("scope", "in", [customerId, total])
    .selectAll()
    .execute();
  const openOf = (scope: string) => rows.find((row) => row.scope === scope)?.open_cents ?? 0;
  return { customerOpenCents: openOf(customerId), totalOpenCents: openOf(total) };
}

async function addUpTo(
  tx: Transaction,
  scope: string,
  amountCents: number,
  capCents: number,
): Promise<boolean> {
  const { rows } = await sql`
    insert into payment_exposure as exposure (scope, open_cents)
    select ${scope}, ${amountCents}::bigint where ${amountCents}::bigint <= ${capCents}::bigint
    on conflict (scope) do update set open_cents = exposure.open_cents + excluded.open_cents
    where exposure.open_cents + excluded.open_cents <= ${capCents}::bigint
    returning open_cents`.execute(tx);
  return rows.length === 1;
}

async function subtract(tx: Transaction, shares: readonly { scope: string; cents: number }[]): Promise<void> {
  // The table refuses what would be below zero: giving back twice is a defect of ours and must be seen.
  await sql`
    update payment_exposure as exposure set open_cents = open_cents - share.cents
    from (
      select scope, sum(cents) as cents
      from unnest(${shares.map(({ scope }) => scope)}::text[], ${shares.map(({ cents }) => cents)}::bigint[])
        as given (scope, cents)
      group by scope
    ) as share
    where exposure.scope = share.scope`.execute(tx);
}
