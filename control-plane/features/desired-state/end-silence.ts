import type { Context } from "../../lifecycle/context.ts";
import { judgeSilence } from "../../rules/report-judgement.ts";
import type { Transaction } from "../../store/database.ts";
import { lockLinks } from "../../store/lock-links.ts";
import { applyJudgements } from "./apply-judgements.ts";
import { sendingsOfAttempt } from "./dispatches.ts";
import { attemptOf } from "./ingest-reports.ts";

/**
 * Cars that are online and answered none of the re-sends: their attempts have failed. What takes back, and what
 * somebody is entitled to already, goes on being sent.
 */
export async function endSilence(
  context: Context,
  tx: Transaction,
  vehicleIds: readonly string[],
): Promise<void> {
  const links = await lockLinks(tx, { vehicleIds });
  // Under the lock: a car may have answered meanwhile.
  const dispatches = await tx
    .selectFrom("manifest_dispatches")
    .select("vehicle_id")
    .where("vehicle_id", "in", vehicleIds)
    .where("sends", ">", sendingsOfAttempt)
    .execute();
  const silent = dispatches.flatMap((row) => links.get(row.vehicle_id) ?? []);
  await applyJudgements(
    context,
    tx,
    silent.flatMap((link) => {
      const attempt = attemptOf(link);
      return attempt === null ? [] : [{ link, said: null, ...judgeSilence(attempt) }];
    }),
  );
}
