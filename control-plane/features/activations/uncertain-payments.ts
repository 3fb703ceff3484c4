import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { underWay } from "../../rules/activation-machine.ts";
import { setTimers } from "../../store/timers.ts";
import { isIn, loadOneUnderCarsLock } from "./load-activations.ts";
import { moveOn } from "./move-on.ts";
import { byGateway, gateway, noteStep, withdrawService } from "./note-step.ts";
import { giveUpOf, giveUpTimer } from "./timers.ts";

export type UncertainPayments = {
  onPaymentAwaited: EventHandler<"servicePaymentAwaited">;
  onPaymentConfirmed: EventHandler<"servicePaymentConfirmed">;
  onPaymentRefuted: EventHandler<"servicePaymentRefuted">;
};

/** What an activation does while its payment is not known, and when the truth is. */
export function uncertainPayments(context: Context, desiredState: ServicesInCars): UncertainPayments {
  return {
    onPaymentAwaited: each(async (tx, { activationId, rule, reason }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      if (activation.state === "PaymentInitiated")
        await noteStep(context, tx, activation, "paymentAwaited", byGateway, { rule, reason });
    }),

    onPaymentConfirmed: each(async (tx, { activationId, captureBefore }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      await tx
        .updateTable("activations")
        .set({ capture_before: captureBefore, presumed_until: null })
        .where("id", "=", activationId)
        .execute();
      const detail = { captureBefore: captureBefore.toISOString() };
      await noteStep(context, tx, activation, "presumptionConfirmed", byGateway, detail);
      // From here on the hold rules, as if it had been heard of at once.
      if (isIn(underWay, activation.state))
        await setTimers(tx, giveUpTimer, giveUpOf({ id: activationId, captureBefore, presumedUntil: null }));
    }),

    onPaymentRefuted: each(async (tx, { activationId, reason }) => {
      const { activation, ...cars } = await loadOneUnderCarsLock(tx, activationId);
      const subject = { activationId, vehicleId: activation.vehicleId };
      if (!isIn(underWay, activation.state)) {
        await noteStep(context, tx, activation, "presumptionRefuted", byGateway, { reason });
        if (activation.state !== "ServiceActive") return;
        const withdrawal = { reason: "lateDecline", by: byGateway, said: reason };
        await withdrawService(context, desiredState, tx, activation, withdrawal);
        return context.publish(tx, "notificationDue", [{ row: "NX2", subject }]);
      }
      const end_reason = "presumptionRefuted";
      const set = { payment_confirmed: false, end_reason };
      await moveOn(context, desiredState, tx, cars, {
        moving: [
          { activation, moves: [{ event: "presumptionRefuted", actor: gateway, set, detail: { reason } }] },
        ],
        ended: [{ activation, reason: end_reason, voids: false, ticket: null }],
      });
      await context.publish(tx, "notificationDue", [{ row: "NX3", subject }]);
    }),
  };
}
