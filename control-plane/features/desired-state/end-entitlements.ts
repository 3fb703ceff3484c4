import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Abandoned, Withdrawn } from "../../lifecycle/desired-state.ts";
import type { Transaction } from "../../store/database.ts";
import { type LinkRows, lockLinks } from "../../store/lock-links.ts";
import { plainArray } from "../../store/plain-array.ts";
import { keepUnderWay, writeVersions } from "./write-versions.ts";

/**
 * Taken back while they run: the next manifest of each car leaves them out, and they end when the car no longer holds
 * them. A removal never waits: a change under way goes on in the new version.
 *
 * @returns those of them that were running
 */
export async function withdraw(
  context: Context,
  tx: Transaction,
  withdrawn: readonly Withdrawn[],
): Promise<ReadonlySet<string>> {
  const ids = withdrawn.map(({ entitlementId }) => entitlementId);
  // The cars' locks first, as for reports, which change the same rows after them.
  const links = await lockLinks(tx, { entitlementIds: ids });
  const { rows } = await sql<{ id: string; vehicle_id: string }>`
    update entitlements as entitlement set state = 'ending', end_reason = next.reason,
      withdrawn_at = ${context.clock.now()}
    from unnest(${plainArray(ids)}::uuid[], ${withdrawn.map(({ reason }) => reason)}::text[]) as next (id, reason)
    where entitlement.id = next.id and entitlement.state = 'proved'
    returning entitlement.id, entitlement.vehicle_id`.execute(tx);
  const left = new Set(rows.map((row) => row.vehicle_id));
  const changed = [...links.values()].filter((link) => left.has(link.vehicle_id));
  await writeVersions(context, tx, await keepUnderWay(tx, changed));
  return new Set(rows.map(({ id }) => id));
}

/**
 * Never delivered: what activations wanted ends without having been, and where one is under way the car's next version
 * leaves it out. Applied already and not yet reported, or not begun: that version says the same either way.
 *
 * @param links the cars' link rows, locked
 * @returns them as they are now
 */
export async function abandon(
  context: Context,
  tx: Transaction,
  links: LinkRows,
  abandoned: readonly Abandoned[],
): Promise<LinkRows> {
  const wanted = abandoned.filter(({ entitlementId }) => entitlementId !== null);
  const now = context.clock.now();
  if (wanted.length > 0)
    await sql`
      update entitlements as entitlement set state = 'ended', end_reason = next.reason, ended_at = ${now}
      from unnest(${plainArray(wanted.map(({ entitlementId }) => entitlementId))}::uuid[],
                  ${wanted.map(({ reason }) => reason)}::text[]) as next (id, reason)
      where entitlement.id = next.id and entitlement.state <> 'ended'`.execute(tx);
  const underWay = abandoned.flatMap(({ vehicleId, activationId }) => {
    const link = links.get(vehicleId);
    return link?.unproved_activation_id === activationId ? [{ link, activationId }] : [];
  });
  if (underWay.length === 0) return links;
  await tx
    .updateTable("attempts")
    .set({ result: "superseded", ended_at: now })
    .where(
      sql<boolean>`activation_id = any(${plainArray(underWay.map(({ activationId }) => activationId))}::uuid[])`,
    )
    .where("result", "is", null)
    .execute();
  const changes = underWay.map(({ link }) => ({ link, unproved: null }));
  return new Map([...links, ...(await writeVersions(context, tx, changes))]);
}
