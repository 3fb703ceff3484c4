import { type ManifestEntry, manifestEntrySchema } from "@caas/contract/manifest.ts";
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
  return manifestEntrySchema.parse({
    id: row.id,
    code: row.code,
    configuration: row.configuration,
    term: termOf(row),
    ...(unproved?.kind === "service" && unproved.entitlementId === row.id
      ? { applyBefore: unproved.applyBefore.toISOString() }
      : {}),
  });
}
