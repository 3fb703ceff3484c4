import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { underWay } from "../../rules/activation-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { isIn, type LoadedActivation, type LockedCars, loadOneUnderCarsLock } from "./load-activations.ts";
import { moveOn } from "./move-on.ts";
import { byBank, bySystem, gateway, noteStep, withdrawService } from "./note-step.ts";

type OneUnderLock = LockedCars & { activation: LoadedActivation };

export type MoneyTakenBack = {
  onPaymentLost: EventHandler<"servicePaymentLost">;
  onPaymentChargedBack: EventHandler<"servicePaymentChargedBack">;
  onChargeBackClosed: EventHandler<"serviceChargeBackClosed">;
  onPaymentRefunded: EventHandler<"servicePaymentRefunded">;
  onRefundFailed: EventHandler<"serviceRefundFailed">;
  onHoldLost: EventHandler<"serviceHoldLost">;
};

/** What becomes of a service whose price is not ours after all: refused late, let go, charged back, or refunded. */
export function moneyTakenBack(context: Context, desiredState: ServicesInCars): MoneyTakenBack {
  /** Nothing goes over the air without money: what is on its way to the car is taken back. Whether anything was. */
  async function endUndelivered(tx: Transaction, loaded: OneUnderLock, reason: string): Promise<boolean> {
    const { activation, ...cars } = loaded;
    if (!isIn(underWay, activation.state)) return false;
    const set = { payment_confirmed: false, end_reason: reason };
    await moveOn(context, desiredState, tx, cars, {
      moving: [{ activation, moves: [{ event: "paymentLost", actor: gateway, set, detail: { reason } }] }],
      ended: [{ activation, reason, voids: false, ticket: null }],
    });
    return true;
  }

  /** What the car holds is withdrawn, and what it does not hold yet never comes. */
  async function takeServiceBack(tx: Transaction, loaded: OneUnderLock, reason: string): Promise<void> {
    if (await endUndelivered(tx, loaded, reason)) return;
    await withdrawService(context, desiredState, tx, loaded.activation, { reason, by: bySystem });
  }

  return {
    onPaymentLost: each(async (tx, { activationId, reason }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      if (activation.entitlementId === null) return;
      const withdrawal = { reason: "lateDecline", by: bySystem, said: reason };
      // A look-up may have refuted the payment before the capture was asked for: the customer knows.
      if (!(await withdrawService(context, desiredState, tx, activation, withdrawal))) return;
      const subject = { activationId, vehicleId: activation.vehicleId };
      await context.publish(tx, "notificationDue", [{ row: "NX2", subject }]);
    }),

    onPaymentChargedBack: each(async (tx, { activationId, amountCents, reason }) => {
      const loaded = await loadOneUnderCarsLock(tx, activationId);
      const { activation } = loaded;
      await noteStep(context, tx, activation, "paymentChargedBack", byBank, { amountCents, reason });
      await takeServiceBack(tx, loaded, "chargeBack");
      const subject = { activationId, vehicleId: activation.vehicleId };
      await context.publish(tx, "notificationDue", [{ row: "NX4", subject }]);
    }),

    onChargeBackClosed: each(async (tx, { activationId, amountCents, status }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      const event = status === "won" ? "chargeBackWon" : "chargeBackLost";
      await noteStep(context, tx, activation, event, byBank, { amountCents });
    }),

    onPaymentRefunded: each(async (tx, { activationId, amountCents, reason, isWhole }) => {
      const loaded = await loadOneUnderCarsLock(tx, activationId);
      const { activation } = loaded;
      await noteStep(context, tx, activation, "paymentRefunded", bySystem, { amountCents, reason });
      // A part is a courtesy and the service stays; a customer who has the whole price back has not bought it.
      if (isWhole) await takeServiceBack(tx, loaded, "refunded");
      const subject = { activationId, vehicleId: activation.vehicleId };
      const detail = { amountCents, isWhole: isWhole ? "yes" : "no" };
      await context.publish(tx, "notificationDue", [{ row: "NX5", subject, detail }]);
    }),

    onRefundFailed: each(async (tx, { activationId, amountCents, reason }) => {
      const { activation } = await loadOneUnderCarsLock(tx, activationId);
      await noteStep(context, tx, activation, "refundFailed", byBank, { amountCents, reason });
      const subject = { activationId, vehicleId: activation.vehicleId };
      await context.publish(tx, "notificationDue", [{ row: "NX13", subject, detail: { amountCents } }]);
    }),

    onHoldLost: each(async (tx, { activationId }) => {
      const loaded = await loadOneUnderCarsLock(tx, activationId);
      // After the car's proof the capture finds out, and says so.
      if (!(await endUndelivered(tx, loaded, "holdLost"))) return;
      const subject = { activationId, vehicleId: loaded.activation.vehicleId };
      await context.publish(tx, "notificationDue", [{ row: "NX12", subject }]);
    }),
  };
}
