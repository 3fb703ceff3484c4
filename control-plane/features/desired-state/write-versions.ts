import { manifestHash } from "@caas/contract/manifest.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { CarChange, UnprovedChange } from "../../lifecycle/desired-state.ts";
import type { Transaction } from "../../store/database.ts";
import type { LinkRow, LinkRows } from "../../store/lock-links.ts";
import { plainArray, sparseArray } from "../../store/plain-array.ts";
import { dispatchChannel } from "./dispatches.ts";
import { listEntries } from "./list-entries.ts";

/**
 * Writes the next version of each car's manifest: the projection of what the car must hold now. The caller holds the
 * cars' locks and has changed the entitlements in the same transaction. A version is above all that the car is known
 * to have, so that a car that is ahead of us (a restored back-up) takes it.
 *
 * @returns the cars' link rows as they are now
 */
export async function writeVersions(
  context: Context,
  tx: Transaction,
  changes: readonly CarChange[],
): Promise<LinkRows> {
  if (changes.length === 0) return new Map();
  const entriesOf = await listEntries(tx, changes);
  const now = context.clock.now();
  const next = changes.map(({ link, unproved }) => {
    const entries = entriesOf.get(link.vehicle_id) ?? [];
    const hash = manifestHash(entries);
    return {
      link,
      unproved,
      version: Math.max(link.manifest_version, link.active_version) + 1,
      hash,
      entries: JSON.stringify(entries),
      attempt: unproved?.kind === "service" ? unproved : null,
      since: unproved === null ? null : sinceWhen(link, unproved, now),
      isHeld: unproved === null && hash === link.active_hash,
    };
  });
  // A former version stays only when it carried a purchase; the row of another is written over in its place. A change
  // that goes on in the version that supersedes its own is still the same attempt.
  await sql`
    with next as materialized (
      select * from unnest(${plainArray(next.map(({ link }) => link.vehicle_id))}::uuid[],
                           ${plainArray(next.map(({ link }) => link.manifest_version))}::int[],
                           ${plainArray(next.map(({ version }) => version))}::int[],
                           ${plainArray(next.map(({ hash }) => hash))}::text[],
                           ${next.map(({ entries }) => entries)}::text[],
                           ${plainArray(next.map(({ unproved }) => unproved !== null))}::boolean[],
                           ${sparseArray(next.map(({ attempt }) => attempt?.activationId ?? null))}::uuid[],
                           ${sparseArray(next.map(({ attempt }) => attempt?.attempt ?? null))}::int[],
                           ${sparseArray(next.map(({ since }) => since?.getTime() ?? null))}::float8[],
                           ${plainArray(next.map(({ isHeld }) => isHeld))}::boolean[])
        as next (vehicle_id, former, version, hash, entries, is_unproved, activation_id, attempt, since_ms, is_held)
    ), linked as (
      update vehicle_links as link
      set manifest_version = next.version, manifest_hash = next.hash,
          unproved_version = case when is_unproved then next.version end,
          unproved_activation_id = next.activation_id,
          unproved_since = to_timestamp(next.since_ms / 1000)
      from next where link.vehicle_id = next.vehicle_id
    ), rewritten as (
      update manifests as manifest
      set version = next.version, hash = next.hash, entries = next.entries::jsonb,
          activation_id = next.activation_id, created_at = ${now}
      from next
      where manifest.vehicle_id = next.vehicle_id and manifest.version = next.former
        and manifest.activation_id is null
      returning manifest.vehicle_id
    ), written as (
      insert into manifests (vehicle_id, version, hash, entries, activation_id, created_at)
      select vehicle_id, version, hash, entries::jsonb, activation_id, ${now} from next
      where vehicle_id not in (select vehicle_id from rewritten)
    ), tried as (
      insert into attempts (activation_id, attempt, vehicle_id, version, started_at)
      select activation_id, attempt, vehicle_id, version, ${now} from next where activation_id is not null
      on conflict (activation_id, attempt) do update set version = excluded.version
    ), due as (
      insert into manifest_dispatches (vehicle_id, due_at, sends)
      select vehicle_id, ${now}, 0 from next where not is_held
      on conflict (vehicle_id) do update set due_at = excluded.due_at, sends = 0, first_sent_at = null
    ), held as materialized (
      -- Locked: whether the version before was sent is asked after a sending that is under way.
      select dispatch.vehicle_id, dispatch.sends from manifest_dispatches as dispatch
        join next on next.vehicle_id = dispatch.vehicle_id and next.is_held
      for update of dispatch
    ), taken_back as (
      -- What the car holds already need not travel, unless the version before was sent: if the car applied that, and
      -- its report was lost, nothing else would take it back.
      update manifest_dispatches as dispatch set due_at = ${now}, sends = 0, first_sent_at = null
      from held where dispatch.vehicle_id = held.vehicle_id and held.sends > 0
    ), needless as (
      delete from manifest_dispatches as dispatch
      using held where dispatch.vehicle_id = held.vehicle_id and held.sends = 0
    )
    select pg_notify(${dispatchChannel}, '')`.execute(tx);
  return new Map(
    next.map(({ link, unproved, attempt, version, hash, since }): [string, LinkRow] => [
      link.vehicle_id,
      {
        ...link,
        manifest_version: version,
        manifest_hash: hash,
        unproved_version: unproved === null ? null : version,
        unproved_activation_id: attempt?.activationId ?? null,
        unproved_since: since,
      },
    ]),
  );
}

/** A change that goes on in the version that supersedes its own began with the first of them. */
function sinceWhen(link: LinkRow, unproved: UnprovedChange, now: Date): Date {
  const activationId = unproved.kind === "service" ? unproved.activationId : null;
  const goesOn = link.unproved_version !== null && link.unproved_activation_id === activationId;
  return goesOn ? (link.unproved_since ?? now) : now;
}

/**
 * Each car with the change that is under way in it, for a version that must not drop it: a removal never waits, and
 * the change goes on in the version that brings it.
 */
export async function keepUnderWay(tx: Transaction, links: readonly LinkRow[]): Promise<CarChange[]> {
  const carrying = links.filter((link) => link.unproved_activation_id !== null);
  const attempts = new Map(
    (carrying.length === 0 ? [] : await readAttempts(tx, carrying)).map((row) => [row.vehicle_id, row]),
  );
  return links.map((link) => {
    if (link.unproved_version === null) return { link, unproved: null };
    if (link.unproved_activation_id === null) return { link, unproved: { kind: "plan" } };
    const row = attempts.get(link.vehicle_id);
    if (row === undefined) throw new Error(`no attempt for version ${link.unproved_version} of a car`);
    return {
      link,
      unproved: {
        kind: "service",
        activationId: link.unproved_activation_id,
        attempt: row.attempt,
        entitlementId: row.entitlement_id,
        applyBefore: new Date(row.apply_before),
      },
    };
  });
}

/** Only the unproved entry of a manifest says how long it may be applied. */
async function readAttempts(tx: Transaction, links: readonly LinkRow[]) {
  const { rows } = await sql<{
    vehicle_id: string;
    attempt: number;
    entitlement_id: string;
    apply_before: string;
  }>`
    select vehicle_id, attempt.attempt, entry->>'id' as entitlement_id, entry->>'applyBefore' as apply_before
    from unnest(${plainArray(links.map((link) => link.vehicle_id))}::uuid[],
                ${plainArray(links.map((link) => link.unproved_version))}::int[]) as link (vehicle_id, version)
    join manifests manifest using (vehicle_id, version)
    join attempts attempt using (vehicle_id, version)
    cross join jsonb_array_elements(manifest.entries) as entry
    where entry ? 'applyBefore'`.execute(tx);
  return rows;
}
