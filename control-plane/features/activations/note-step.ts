import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import { recordSteps, type Step } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import type { LoadedActivation } from "./load-activations.ts";

/** Who did a step that moves no state, and under which row of the automation table. */
type By = Pick<Step, "actor" | "automation">;

export const gateway: Actor = { kind: "partner", id: "paymentGateway" };
export const byBank: By = { actor: gateway, automation: null };
export const bySystem: By = { actor: system, automation: null };
/** The gateway's word on a payment that was not answered at once. */
export const byGateway: By = { actor: gateway, automation: "AU14" };

/** Records what happened to an activation's money without moving it. */
export async function noteStep(
  context: Context,
  tx: Transaction,
  { id: activationId, vehicleId }: LoadedActivation,
  event: string,
  by: By,
  detail: NonNullable<Step["detail"]>,
): Promise<void> {
  const at = context.clock.now();
  await recordSteps(tx, [{ vehicleId, activationId, event, ...by, at, detail }]);
}

/** Out of the car with its next manifest; `false`: what has ended, or is ending, leaves nothing to withdraw. */
export async function withdrawService(
  context: Context,
  desiredState: ServicesInCars,
  tx: Transaction,
  activation: LoadedActivation,
  withdrawal: { reason: string; by: By; said?: string },
): Promise<boolean> {
  const { entitlementId, service } = activation;
  const { reason, by, said = reason } = withdrawal;
  if (entitlementId === null) return false;
  const running = await desiredState.withdraw(tx, [{ entitlementId, reason }]);
  if (!running.has(entitlementId)) return false;
  await noteStep(context, tx, activation, "serviceWithdrawn", by, { service: service.code, reason: said });
  return true;
}
