import { type Actor, system } from "../../../lifecycle/actor.ts";
import type { Context } from "../../../lifecycle/context.ts";
import { moveVehicles, mustMoveVehicles } from "../../../lifecycle/move-vehicles.ts";
import { paidStatuses } from "../../../rules/payment-machine.ts";
import { bindingSaleStatuses } from "../../../rules/statuses.ts";
import type { Transaction } from "../../../store/database.ts";
import { keepBooks } from "../ledger/ledger.ts";

/** The car goes to stock and the reservation is forfeited; `false` where the car waits for no money any more. */
export async function loseReservation(
  context: Context,
  tx: Transaction,
  { expedienteId, vehicleId }: { expedienteId: string; vehicleId: string },
  actor: Actor,
  detail: Record<string, string | number>,
): Promise<boolean> {
  const [failed] = await moveVehicles(context, tx, [
    { vehicleId, event: "finalPaymentFailed", actor, set: { final_payment: "failed" }, detail },
  ]);
  if (failed.kind === "refused") return false;
  await mustMoveVehicles(context, tx, [{ vehicleId, event: "markedForImmediateSale", actor: system }]);
  await tx
    .updateTable("expedientes")
    .set({ status: "reservationLost" })
    .where("id", "=", expedienteId)
    .execute();
  await postDeposits(context, tx, [expedienteId], "depositForfeited");
  return true;
}

/** The cars are in their customers' hands: what was owed is earned. */
export async function earnDeposits(
  context: Context,
  tx: Transaction,
  vehicleIds: readonly string[],
): Promise<void> {
  if (vehicleIds.length === 0) return;
  const sales = await tx
    .selectFrom("expedientes")
    .where("vehicle_id", "in", vehicleIds)
    .where("status", "in", bindingSaleStatuses)
    .select("id")
    .execute();
  const expedienteIds = sales.map(({ id }) => id);
  await postDeposits(context, tx, expedienteIds, "depositEarned");
}

async function postDeposits(
  context: Context,
  tx: Transaction,
  expedienteIds: readonly string[],
  kind: "depositEarned" | "depositForfeited",
): Promise<void> {
  if (expedienteIds.length === 0) return;
  const deposits = await tx
    .selectFrom("payments")
    .where("expediente_id", "in", expedienteIds)
    .where("status", "in", paidStatuses)
    .selectAll()
    .execute();
  const entries = deposits.map((payment) => ({
    payment,
    kind,
    amountCents: payment.amount_cents,
    effectId: null,
  }));
  await keepBooks(tx, context.clock.now(), [], entries);
}
