import { packReportText } from "@caas/contract/report-proof.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import type { Transaction } from "../../store/database.ts";
import { lockLinks } from "../../store/lock-links.ts";
import { unpackProof } from "./plan-proofs.ts";
import { keepUnderWay, writeVersions } from "./write-versions.ts";

/**
 * The car has a new identity and an empty memory. It gets all that it is entitled to in a version of its own, in which
 * a term that runs already runs on, and a change that was under way goes on as the same attempt: nothing is asked of a
 * bank again. Proofs by its former key are kept as they were signed.
 */
export async function beginAnew(
  context: Context,
  tx: Transaction,
  { vehicleId, formerProofKey }: DomainEvents["carEnrolledAgain"],
): Promise<void> {
  const links = [...(await lockLinks(tx, { vehicleIds: [vehicleId] })).values()];
  for (const link of links) {
    const owner = { vin: link.vin, proof_public_key: formerProofKey };
    const proofs = await tx
      .selectFrom("plan_proofs")
      .select(["version", "report"])
      .where("vehicle_id", "=", vehicleId)
      .execute();
    for (const { version, report } of proofs)
      await tx
        .updateTable("plan_proofs")
        .set({ report: packReportText(unpackProof(owner, report)) })
        .where("vehicle_id", "=", vehicleId)
        .where("version", "=", version)
        .execute();
  }
  await writeVersions(context, tx, await keepUnderWay(tx, links));
}
