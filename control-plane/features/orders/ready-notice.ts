import { minuteMs } from "@caas/contract/durations.ts";
import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type DomainEvents, type EventHandler, each } from "../../lifecycle/events.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import type { Transaction } from "../../store/database.ts";
import { clearTimers, setTimers, type TimerHandler } from "../../store/timers.ts";

// The final payment waits for the ready message. When no provider takes it in time, a person tells the customer.

const readyNoticeTimer = "readyNoticeStalled";

/** Business time. Longer than a mail server's greylisting takes, short enough to telephone the same day. */
export const readyNoticePatienceMs = 15 * minuteMs;

/** Watches over every car that is built; ends when the customer was told. */
export function watchReadyNotice(context: Context): {
  onVehicleMoved: EventHandler<"vehicleMoved">;
  timer: TimerHandler;
} {
  return {
    onVehicleMoved: each(async (tx, { vehicleId, event }) => {
      if (event === "manufacturingCompleted")
        await setTimers(tx, readyNoticeTimer, [
          { subjectId: vehicleId, dueAt: new Date(context.clock.now().getTime() + readyNoticePatienceMs) },
        ]);
      if (event === "customerNotified") await clearTimers(tx, readyNoticeTimer, [vehicleId]);
    }),
    timer: { kind: readyNoticeTimer, due: (tx, vehicleId) => callForAPerson(context, tx, vehicleId) },
  };
}

async function callForAPerson(context: Context, tx: Transaction, vehicleId: string): Promise<void> {
  const { state } = await tx
    .selectFrom("vehicles")
    .select("state")
    .where("id", "=", vehicleId)
    .executeTakeFirstOrThrow();
  if (state !== "ReadyAtFactory") return;
  await context.publish(tx, "taskNeeded", [{ kind: "readyNoticeStalled", subject: { vehicleId } }]);
}

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
  if (vehicleId === undefined) return;
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
