import { isPlainEntry, type ManifestEntry, manifestEntrySchema } from "@caas/contract/manifest.ts";
import type { UnprovedChange } from "./wanted.ts";

type Row = {
  id: string;
  source: "plan" | "service";
  code: string;
  configuration: { readonly [key: string]: unknown };
  duration_seconds: number | null;
  state: "wanted" | "proved" | "ending" | "ended";
  valid_until: Date | null;
};

function termOf(row: Row): ManifestEntry["term"] {
  if (row.valid_until !== null) return { kind: "until", validUntil: row.valid_until.toISOString() };
  if (row.duration_seconds !== null) return { kind: "duration", seconds: row.duration_seconds };
  return { kind: "unlimited" };
}

/** How an entitlement reads in a manifest. Only the unproved one carries `applyBefore`. */
export function toEntry(row: Row, unproved: UnprovedChange | null): ManifestEntry {
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

/**
 * Of what a car was sold with there is one of each code: the step of a roll-out that is to be proved takes the place
 * of the one that stands. If it fails, the list without it holds the former again.
 *
 * @param rows in the order of their ids, which is the order they were wanted in
 */
export function withoutReplaced<R extends Pick<Row, "source" | "code">>(rows: readonly R[]): R[] {
  const last = new Map(rows.filter((row) => row.source === "plan").map((row) => [row.code, row]));
  return rows.filter((row) => row.source !== "plan" || last.get(row.code) === row);
}
