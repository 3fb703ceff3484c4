import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import type { ActivationMove } from "../../lifecycle/move-activations.ts";
import { activationMachine, underWay } from "../../rules/activation-machine.ts";
import { decide } from "../../rules/interpreter.ts";
import type { Transaction } from "../../store/database.ts";
import { readVerdict } from "./explain.ts";
import { isIn, type LoadedActivation, loadOneUnderCarsLock } from "./load-activations.ts";
import { type Ended, moveOn } from "./move-on.ts";

/** Support is told, the customer is told, and the hold is let go: NoCharge follows when it is gone. */
export function giveUp(
  activation: LoadedActivation,
  event: "attemptsExhausted" | "holdExpired",
  reason: string,
): { moves: readonly ActivationMove[]; ended: Ended } {
  return {
    moves: [
      {
        event,
        actor: system,
        set: { end_reason: reason },
        detail: { attempts: activation.facts.attemptsUsed },
      },
      { event: "ticketCreated", actor: system },
    ],
    ended: {
      activation,
      reason: event === "holdExpired" ? "holdExpired" : "notActivated",
      voids: true,
      ticket: reason,
    },
  };
}

/** The bank will not hold the money any longer. */
export async function giveUpExpired(
  context: Context,
  desiredState: ServicesInCars,
  tx: Transaction,
  activationId: string,
): Promise<void> {
  const { activation, ...cars } = await loadOneUnderCarsLock(tx, activationId);
  if (!isIn(underWay, activation.state)) return;
  const { moves, ended } = giveUp(activation, "holdExpired", "holdExpired");
  await moveOn(context, desiredState, tx, cars, { moving: [{ activation, moves }], ended: [ended] });
}

/** Also of a service that was withdrawn since, for which nobody owes anything. */
const tooLate = "It is too late to cancel: the service was already applied in the car.";

export type Cancelled = { kind: "cancelled" };

/** The customer changed their mind; the answer is honest about what can no longer be undone. */
export async function cancel(
  context: Context,
  desiredState: ServicesInCars,
  tx: Transaction,
  activationId: string,
  actor: Actor,
): Promise<Cancelled | Refusal> {
  const { activation, ...cars } = await loadOneUnderCarsLock(tx, activationId);
  const decision = decide(activationMachine, activation.state, "customerCancelled", activation.facts);
  if (decision.kind === "refused")
    return activation.state === "ServiceActive"
      ? refuse("conflict", `${await readVerdict(tx, activationId)} ${tooLate}`)
      : refuseByRule(decision);
  const reason = "customerCancelled";
  await moveOn(context, desiredState, tx, cars, {
    moving: [{ activation, moves: [{ event: "customerCancelled", actor, set: { end_reason: reason } }] }],
    ended: [{ activation, reason, voids: true, ticket: null }],
  });
  return { kind: "cancelled" };
}
