import type { Clock } from "@caas/contract/business-clock.ts";
import { sql } from "kysely";
import type { Reader } from "../store/database.ts";
import type { KeyRing } from "./key-ring.ts";

/** Figures about this process's keys and revocations, for gauges; ages in seconds of business time. */
export type TrustFigures = {
  keySetVersion: number;
  keySetAgeSeconds: number;
  revocationListVersion: number;
  /** Since the newest revocation; 0 where there is none. */
  revocationListAgeSeconds: number;
};

export async function readTrustFigures(db: Reader, keyRing: KeyRing, clock: Clock): Promise<TrustFigures> {
  const { rows } = await sql<{ version: number; changed_at: Date | null }>`
    select version, (select max(revoked_at) from revocations) as changed_at from revocation_list`.execute(db);
  const ageOf = (since: Date) => Math.max(0, (clock.now().getTime() - since.getTime()) / 1_000);
  const changedAt = rows[0]?.changed_at ?? null;
  return {
    keySetVersion: keyRing.keySet.version,
    keySetAgeSeconds: ageOf(new Date(keyRing.keySet.issuedAt)),
    revocationListVersion: rows[0]?.version ?? 0,
    revocationListAgeSeconds: changedAt === null ? 0 : ageOf(changedAt),
  };
}
