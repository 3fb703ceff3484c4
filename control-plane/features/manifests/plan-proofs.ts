import { packReport, unpackReport } from "@caas/contract/report-proof.ts";
import { sql } from "kysely";
import type { Reader, Transaction } from "../../store/database.ts";
import { byteArray, plainArray } from "../../store/plain-array.ts";
import type { Received } from "./ingest-report.ts";
import type { LinkRow } from "./link-row.ts";

/** The car's signed report that proves a version. */
export type Proved = {
  link: Pick<LinkRow, "vehicle_id" | "vin" | "proof_public_key">;
  version: number;
  received: Received;
};

/** Keeps the proofs of versions that nobody paid for by themselves. */
export async function keepPlanProofs(tx: Transaction, proved: readonly Proved[]): Promise<void> {
  await sql`
    insert into plan_proofs (vehicle_id, version, report)
    select * from unnest(${plainArray(proved.map(({ link }) => link.vehicle_id))}::uuid[],
                         ${plainArray(proved.map(({ version }) => version))}::int[],
                         ${byteArray(proved.map(packProof))}::bytea[])`.execute(tx);
}

/** As it is kept. */
export function packProof({ link, received }: Omit<Proved, "version">): Buffer {
  const owner = { vin: link.vin, proofKey: link.proof_public_key ?? "" };
  return packReport(received.token, received.report, owner);
}

/** The report as the car signed it, a compact JWS; `null` where there is none. */
export async function readPlanProof(
  reader: Reader,
  vehicleId: string,
  version: number,
): Promise<string | null> {
  const row = await reader
    .selectFrom("plan_proofs as proof")
    .innerJoin("vehicle_links as link", "link.vehicle_id", "proof.vehicle_id")
    .where("proof.vehicle_id", "=", vehicleId)
    .where("proof.version", "=", version)
    .select(["proof.report", "link.vin", "link.proof_public_key"])
    .executeTakeFirst();
  if (row === undefined) return null;
  return unpackReport(row.report, { vin: row.vin, proofKey: row.proof_public_key ?? "" });
}
