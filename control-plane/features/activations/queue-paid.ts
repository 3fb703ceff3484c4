import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import type { ActivationMove } from "../../lifecycle/move-activations.ts";
import { activationMachine } from "../../rules/activation-machine.ts";
import { isFinal } from "../../rules/interpreter.ts";
import type { Transaction } from "../../store/database.ts";
import { type LoadedActivation, loadUnderCarsLock } from "./load-activations.ts";
import { moveOn } from "./move-on.ts";

const secondsADay = 86_400;

/** The money is held until `captureBefore`, or presumed until `presumedUntil`. */
export type Paid = { activationId: string } & Pick<LoadedActivation, "captureBefore" | "presumedUntil">;

export function paidByHold(hold: DomainEvents["servicePaymentAuthorised"]): Paid {
  return { activationId: hold.activationId, captureBefore: hold.captureBefore, presumedUntil: null };
}

export function paidByPresumption(presumed: DomainEvents["servicePaymentPresumed"]): Paid {
  return { activationId: presumed.activationId, captureBefore: null, presumedUntil: presumed.reconcileBy };
}

/** Each waits for its turn in its car, and begins now where the car is free. */
export async function queuePaid(
  context: Context,
  desiredState: ServicesInCars,
  tx: Transaction,
  paid: readonly Paid[],
): Promise<void> {
  const paidOf = new Map(paid.map((one) => [one.activationId, one]));
  const cars = await loadUnderCarsLock(tx, [...paidOf.keys()]);
  // The customer cancelled while the bank was being asked: what it held is let go.
  await context.publish(
    tx,
    "serviceVoidRequested",
    cars.activations
      .filter(({ state }) => isFinal(activationMachine, state))
      .map(({ id }) => ({ activationId: id })),
  );
  const ready = cars.activations.filter(({ state }) => state === "PaymentInitiated");
  if (ready.length === 0) return;
  const entitlementIds = await desiredState.want(
    tx,
    ready.map(({ vehicleId, service, durationDays }) => ({
      vehicleId,
      source: "service",
      code: service.code,
      configuration: service.configuration,
      durationSeconds: durationDays * secondsADay,
    })),
  );
  const queuedAt = context.clock.now();
  const pairs = ready.map((activation, index) => {
    const entitlementId = entitlementIds[index] ?? null;
    const after = { ...activation, ...paidOf.get(activation.id), entitlementId, queuedAt };
    return { activation, after: { ...after, state: "OTAQueue" as const } };
  });
  const queued = pairs.map(({ after }) => after);
  await moveOn(context, desiredState, tx, cars, {
    moving: pairs.map(({ activation, after }) => ({ activation, moves: [queue(after)] })),
    queued,
  });
}

function queue({ entitlementId, captureBefore, presumedUntil, queuedAt }: LoadedActivation): ActivationMove {
  return {
    set: {
      entitlement_id: entitlementId,
      payment_confirmed: true,
      capture_before: captureBefore,
      presumed_until: presumedUntil,
      queued_at: queuedAt,
    },
    ...(presumedUntil === null
      ? {
          event: "paymentAuthorised",
          actor: { kind: "partner", id: "paymentGateway" },
          detail: { captureBefore: captureBefore?.toISOString() ?? null },
        }
      : {
          event: "paymentPresumed",
          actor: system,
          detail: { reason: "noAnswer", knownBy: presumedUntil.toISOString() },
        }),
  };
}
