import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import { waitsForTheCar } from "../../rules/activation-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { plainArray } from "../../store/plain-array.ts";

/** A car can take its next change: that is said of those for which a purchase waits. */
export async function tellThoseWaiting(
  context: Context,
  tx: Transaction,
  vehicleIds: readonly string[],
): Promise<void> {
  if (vehicleIds.length === 0) return;
  const waiting = await tx
    .selectFrom("activations")
    .select("vehicle_id as vehicleId")
    .distinct()
    .where(sql<boolean>`vehicle_id = any(${plainArray(vehicleIds)}::uuid[])`)
    .where("state", "in", waitsForTheCar)
    .orderBy("vehicle_id")
    .execute();
  await context.publish(tx, "changePossible", waiting);
}
