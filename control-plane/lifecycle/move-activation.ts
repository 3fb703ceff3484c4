import type { Updateable } from "kysely";
import {
  type ActivationEvent,
  type ActivationState,
  activationMachine,
} from "../rules/activation-machine.ts";
import { decide, isFinal } from "../rules/interpreter.ts";
import type { ActivationFacts, Moved, Refused } from "../rules/types.ts";
import type { Transaction } from "../store/database.ts";
import type { Database } from "../store/schema.ts";
import type { Actor } from "./actor.ts";
import type { Context } from "./context.ts";
import { recordStep, type Step } from "./record-step.ts";

export type ActivationPatch = Partial<
  Pick<
    Updateable<Database["activations"]>,
    | "entitlement_id"
    | "maintenance_status"
    | "maintenance_checked_at"
    | "capture_before"
    | "presumed_until"
    | "payment_confirmed"
    | "attempts_used"
    | "attempts_allowed"
    | "retry_at"
    | "end_reason"
    | "queued_at"
  >
>;

export type ActivationMove = {
  activationId: string;
  event: ActivationEvent;
  actor: Actor;
  facts: ActivationFacts;
  set?: ActivationPatch;
  detail?: Step["detail"];
};

/**
 * The one way to change an activation's state. The caller has locked the activation's row and worked out the
 * facts; state, step and notifications are committed together with what the handlers of `activationMoved` add.
 *
 * @returns the rules' refusal unchanged; then nothing was written.
 */
export async function moveActivation(
  context: Context,
  tx: Transaction,
  move: ActivationMove,
): Promise<Moved<ActivationState> | Refused> {
  const row = await tx
    .selectFrom("activations")
    .select(["state", "vehicle_id", "queued_at"])
    .where("id", "=", move.activationId)
    .forUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no activation ${move.activationId}`));
  const decision = decide(activationMachine, parseActivationState(row.state), move.event, move.facts);
  if (decision.kind === "refused") return decision;

  const at = context.clock.now();
  await tx
    .updateTable("activations")
    .set({
      ...move.set,
      state: decision.to,
      ...(isFinal(activationMachine, decision.to) ? { ended_at: at } : {}),
    })
    .where("id", "=", move.activationId)
    .execute();
  await recordStep(tx, {
    vehicleId: row.vehicle_id,
    activationId: move.activationId,
    event: move.event,
    from: decision.from,
    to: decision.to,
    arrow: decision.arrowId,
    automation: decision.automation,
    actor: move.actor,
    at,
    ...(move.detail === undefined ? {} : { detail: move.detail }),
  });
  for (const notification of decision.notifies)
    await context.publish(tx, "notificationDue", {
      row: notification,
      subject: { activationId: move.activationId, vehicleId: row.vehicle_id },
    });
  await context.publish(tx, "activationMoved", {
    activationId: move.activationId,
    vehicleId: row.vehicle_id,
    event: move.event,
    from: decision.from,
    to: decision.to,
    actor: move.actor,
    detail: move.detail ?? {},
    queuedAt: row.queued_at,
  });
  return decision;
}

const states: ReadonlySet<string> = new Set([...activationMachine.states, "start", "end"]);

function isActivationState(text: string): text is ActivationState | "start" | "end" {
  return states.has(text);
}

/** @throws when the database holds a state the rules do not know. */
export function parseActivationState(text: string): ActivationState | "start" | "end" {
  if (!isActivationState(text)) throw new Error(`unknown activation state ${text}`);
  return text;
}
