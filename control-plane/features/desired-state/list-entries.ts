import { isPlainEntry, type ManifestEntry, manifestEntrySchema } from "@caas/contract/manifest.ts";
import { type Selectable, sql } from "kysely";
import type { CarChange, UnprovedChange } from "../../lifecycle/desired-state.ts";
import type { Transaction } from "../../store/database.ts";
import { plainArray } from "../../store/plain-array.ts";
import type { Database } from "../../store/schema.ts";

type Entitlement = Selectable<Database["entitlements"]>;

/** By the index, which knows only what has not ended. */
export function isHeldBy(vehicleIds: readonly string[]) {
  return sql<boolean>`vehicle_id = any(${plainArray(vehicleIds)}::uuid[]) and ended_at is null`;
}

/** What each car must hold: everything proved, and the one change that its next version is to prove. By vehicle. */
export async function listEntries(
  tx: Transaction,
  changes: readonly CarChange[],
): Promise<Map<string, ManifestEntry[]>> {
  const rows = await tx
    .selectFrom("entitlements")
    .selectAll()
    .where(isHeldBy(changes.map(({ link }) => link.vehicle_id)))
    .where("state", "in", ["wanted", "proved"])
    .orderBy("id")
    .execute();
  const ofCar = Map.groupBy(rows, (row) => row.vehicle_id);
  return new Map(
    changes.map(({ link: { vehicle_id: vehicleId }, unproved }) => {
      const held = (ofCar.get(vehicleId) ?? []).filter(
        (row) => row.state === "proved" || isPartOf(row, unproved),
      );
      return [vehicleId, withoutReplaced(held).map((row) => toEntry(row, unproved))];
    }),
  );
}

function isPartOf(row: Entitlement, unproved: UnprovedChange | null): boolean {
  if (unproved === null) return false;
  return unproved.kind === "plan" ? row.source === "plan" : row.id === unproved.entitlementId;
}

/**
 * Of what a car was sold with there is one of each code: the step of a roll-out that is to be proved replaces the one
 * the car holds. If it fails, the list without it holds the former again.
 *
 * @param rows in the order of their ids, which is the order they were wanted in
 */
function withoutReplaced(rows: readonly Entitlement[]): Entitlement[] {
  const last = new Map(rows.filter((row) => row.source === "plan").map((row) => [row.code, row]));
  return rows.filter((row) => row.source !== "plan" || last.get(row.code) === row);
}

/** How an entitlement reads in a manifest. Only the unproved one carries `applyBefore`. */
function toEntry(row: Entitlement, unproved: UnprovedChange | null): ManifestEntry {
  const entry = {
    id: row.id,
    code: row.code,
    configuration: row.configuration,
    term: termOf(row),
    ...(unproved?.kind === "service" && unproved.entitlementId === row.id
      ? { applyBefore: unproved.applyBefore.toISOString() }
      : {}),
  };
  // The schema judges what is not plainly an entry.
  return isPlainEntry(entry) ? entry : manifestEntrySchema.parse(entry);
}

function termOf(row: Entitlement): ManifestEntry["term"] {
  if (row.valid_until !== null) return { kind: "until", validUntil: row.valid_until.toISOString() };
  if (row.duration_seconds !== null) return { kind: "duration", seconds: row.duration_seconds };
  return { kind: "unlimited" };
}
