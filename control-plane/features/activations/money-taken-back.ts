import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { loadOneUnderCarsLock } from "./load-activations.ts";
import { byBank, bySystem, noteStep, withdrawService } from "./note-step.ts";

export type MoneyTakenBack = {
  onPaymentLost: EventHandler<"servicePaymentLost">;
  onPaymentChargedBack: EventHandler<"servicePaymentChargedBack">;
  onChargeBackClosed: EventHandler<"serviceChargeBackClosed">;
  onPaymentRefunded: EventHandler<"servicePaymentRefunded">;
};

/** What becomes of a service whose price is not ours after all: refused late, charged back, or refunded. */
export function moneyTakenBack(context: Context, desiredState: ServicesInCars): MoneyTakenBack {
  return {
    onPaymentLost: each(async (tx, { activationId, reason }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      if (activation.entitlementId === null) return;
      const withdrawal = { reason: "lateDecline", by: bySystem, said: reason };
      await withdrawService(context, desiredState, tx, activation, withdrawal);
      const subject = { activationId, vehicleId: activation.vehicleId };
      await context.publish(tx, "notificationDue", [{ row: "NX2", subject }]);
    }),

    onPaymentChargedBack: each(async (tx, { activationId, amountCents, reason }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      await noteStep(context, tx, activation, "paymentChargedBack", byBank, { amountCents, reason });
      await withdrawService(context, desiredState, tx, activation, { reason: "chargeBack", by: bySystem });
      const subject = { activationId, vehicleId: activation.vehicleId };
      await context.publish(tx, "notificationDue", [{ row: "NX4", subject }]);
    }),

    onChargeBackClosed: each(async (tx, { activationId, amountCents, status }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      const event = status === "won" ? "chargeBackWon" : "chargeBackLost";
      await noteStep(context, tx, activation, event, byBank, { amountCents });
    }),

    onPaymentRefunded: each(async (tx, { activationId, amountCents, reason, isWhole }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      await noteStep(context, tx, activation, "paymentRefunded", bySystem, { amountCents, reason });
      // A part is a courtesy and the service stays; a customer who has the whole price back has not bought it.
      if (isWhole)
        await withdrawService(context, desiredState, tx, activation, { reason: "refunded", by: bySystem });
      const subject = { activationId, vehicleId: activation.vehicleId };
      const detail = { amountCents, isWhole: isWhole ? "yes" : "no" };
      await context.publish(tx, "notificationDue", [{ row: "NX5", subject, detail }]);
    }),
  };
}
