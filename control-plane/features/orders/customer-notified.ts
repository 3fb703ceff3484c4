import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import type { Transaction } from "../../store/database.ts";

/**
 * The ready message has left by one channel, so the customer counts as notified (VA4) and may pay the rest. Further
 * channels of the same message find the step done.
 */
export async function recordCustomerNotified(
  context: Context,
  tx: Transaction,
  accepted: DomainEvents["notificationAccepted"],
): Promise<void> {
  const { vehicleId } = accepted.subject;
  if (accepted.row !== "NT4" || vehicleId === undefined) return;
  const [decision] = await moveVehicles(context, tx, [
    {
      vehicleId,
      event: "customerNotified",
      actor: system,
      detail: { notificationId: accepted.notificationId },
    },
  ]);
  // No arrow: it has happened already. AG4: the customer has withdrawn and is asked for nothing.
  if (decision.kind === "refused" && decision.code === "guard" && decision.rule !== "AG4")
    throw new Error(decision.message);
}
