import type { Report } from "@caas/contract/report.ts";
import { packReport, unpackReport } from "@caas/contract/report-proof.ts";
import type { Reader } from "../../store/database.ts";
import type { LinkRow } from "../../store/lock-links.ts";

type Owner = Pick<LinkRow, "vin" | "proof_public_key">;

function ownerOf(link: Owner) {
  return { vin: link.vin, proofKey: link.proof_public_key ?? "" };
}

/** The signed report that proves a version nobody paid for by itself, as it is kept. */
export function packProof(link: Owner, report: Report, token: string): Buffer {
  return packReport(token, report, ownerOf(link));
}

export function unpackProof(link: Owner, report: Uint8Array): string {
  return unpackReport(report, ownerOf(link));
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
  return row === undefined ? null : unpackProof(row, row.report);
}
