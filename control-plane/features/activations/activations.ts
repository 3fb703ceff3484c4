import type { Capability } from "../../http/capability.ts";
import type { Refusal } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import type { EventHandler } from "../../lifecycle/events.ts";
import { type ActivationMove, mustMoveActivations } from "../../lifecycle/move-activations.ts";
import type { ActivationState } from "../../rules/activation-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { lockLinks } from "../../store/lock-links.ts";
import { confirmApplied, countFailures } from "./end-attempts.ts";
import { type Cancelled, cancel, giveUpExpired } from "./give-up.ts";
import { loadActivations, loadUnderCarsLock } from "./load-activations.ts";
import { type MoneyTakenBack, moneyTakenBack } from "./money-taken-back.ts";
import { moveOn } from "./move-on.ts";
import { gateway } from "./note-step.ts";
import { passGates } from "./pass-gates.ts";
import { paidByHold, paidByPresumption, queuePaid } from "./queue-paid.ts";
import { activationRoutes } from "./routes.ts";
import { giveUpTimer, retryTimer } from "./timers.ts";
import { type UncertainPayments, uncertainPayments } from "./uncertain-payments.ts";

export type Activations = Capability &
  UncertainPayments &
  MoneyTakenBack & {
    cancel(tx: Transaction, activationId: string, actor: Actor): Promise<Cancelled | Refusal>;
    onMaintenanceChecked: EventHandler<"maintenanceChecked">;
    onPaymentAuthorised: EventHandler<"servicePaymentAuthorised">;
    onPaymentPresumed: EventHandler<"servicePaymentPresumed">;
    onPaymentDeclined: EventHandler<"servicePaymentDeclined">;
    onPaymentVoided: EventHandler<"servicePaymentVoided">;
    onChangePossible: EventHandler<"changePossible">;
    onAttemptApplied: EventHandler<"attemptApplied">;
    onAttemptFailed: EventHandler<"attemptFailed">;
  };

/** The specification's service activation: gate, hold, attempts, proof, and the honest end of each. */
export function createActivations(context: Context, desiredState: ServicesInCars): Activations {
  /** Moves those that are in `state`; an event that comes again, or too late, changes nothing. */
  async function moveFrom<Event extends { activationId: string }>(
    tx: Transaction,
    events: readonly Event[],
    state: ActivationState,
    moveBy: (event: Event) => ActivationMove,
  ): Promise<void> {
    const moveOf = new Map(events.map((event) => [event.activationId, moveBy(event)]));
    const { activations } = await loadActivations(tx, [...moveOf.keys()]);
    await mustMoveActivations(
      context,
      tx,
      activations.flatMap((activation) => {
        const move = moveOf.get(activation.id);
        return move === undefined || activation.state !== state ? [] : [{ activation, moves: [move] }];
      }),
    );
  }

  return {
    cancel: (tx, activationId, actor) => cancel(context, desiredState, tx, activationId, actor),
    ...moneyTakenBack(context, desiredState),
    ...uncertainPayments(context, desiredState),
    addRoutes: (routing) => activationRoutes(context, desiredState, routing),

    onMaintenanceChecked: (tx, checks) => passGates(context, tx, checks),
    onPaymentAuthorised: (tx, holds) => queuePaid(context, desiredState, tx, holds.map(paidByHold)),
    onPaymentPresumed: (tx, all) => queuePaid(context, desiredState, tx, all.map(paidByPresumption)),
    onPaymentDeclined: (tx, declined) =>
      moveFrom(tx, declined, "PaymentInitiated", ({ reason }) => ({
        event: "paymentRejected",
        actor: gateway,
        set: { end_reason: reason },
        detail: { reason },
      })),
    onPaymentVoided: (tx, voided) =>
      moveFrom(tx, voided, "CustomerNotified", () => ({
        event: "chargeReleased",
        actor: gateway,
        set: { payment_confirmed: false },
      })),

    async onChangePossible(tx, possible) {
      const vehicleIds = possible.map(({ vehicleId }) => vehicleId);
      const links = await lockLinks(tx, { vehicleIds });
      const { waiting } = await loadActivations(tx, [], vehicleIds);
      await moveOn(context, desiredState, tx, { links, waiting }, {});
    },
    onAttemptApplied: (tx, applied) => confirmApplied(context, desiredState, tx, applied),
    onAttemptFailed: (tx, failures) => countFailures(context, desiredState, tx, failures),

    timers: [
      {
        kind: retryTimer,
        async due(tx, activationId) {
          await moveOn(context, desiredState, tx, await loadUnderCarsLock(tx, [activationId]), {});
        },
      },
      {
        kind: giveUpTimer,
        due: (tx, activationId) => giveUpExpired(context, desiredState, tx, activationId),
      },
    ],
  };
}
