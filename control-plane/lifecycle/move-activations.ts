import { sql } from "kysely";
import { activationMachine } from "../rules/activation-machine.ts";
import { decide, isFinal } from "../rules/interpreter.ts";
import type { Refused } from "../rules/types.ts";
import type { Transaction } from "../store/database.ts";
import type { Context } from "./context.ts";
import { type DomainEvents, publishMany } from "./events.ts";
import { type ActivationMove, type ActivationPatch, parseActivationState } from "./move-activation.ts";
import { recordSteps, type Step } from "./record-step.ts";

/** One activation as it was read under its lock, and the events it takes now, one after the other. */
export type ActivationMoves = {
  activation: { id: string; vehicleId: string; state: string; queuedAt: Date | null };
  moves: readonly Omit<ActivationMove, "activationId">[];
};

/** `refused`: by the rules, at the first event they do not take; what came before it is written. */
export type MovedMany = { moved: number; refused: Refused | null };

/**
 * What `moveActivation` does, for many activations in two statements. The caller has locked the rows and read their
 * states in this transaction. The answers stand in the same order.
 */
export async function moveActivations(
  context: Context,
  tx: Transaction,
  all: readonly ActivationMoves[],
): Promise<MovedMany[]> {
  const at = context.clock.now();
  const patches: { id: string; state: string; patch: object }[] = [];
  const steps: Step[] = [];
  const said: DomainEvents["activationMoved"][] = [];
  const due: DomainEvents["notificationDue"][] = [];
  const answers = all.map(({ activation, moves }): MovedMany => {
    const { id, vehicleId } = activation;
    let state = parseActivationState(activation.state);
    let patch: ActivationPatch & { ended_at?: Date } = {};
    let moved = 0;
    let refused: Refused | null = null;
    for (const { event, actor, facts, set = {}, detail = {} } of moves) {
      const decision = decide(activationMachine, state, event, facts);
      if (decision.kind === "refused") {
        refused = decision;
        break;
      }
      const { from, to, arrowId, automation, notifies } = decision;
      moved += 1;
      state = to;
      patch = { ...patch, ...set, ...(isFinal(activationMachine, to) ? { ended_at: at } : {}) };
      steps.push({
        vehicleId,
        activationId: id,
        event,
        from,
        to,
        arrow: arrowId,
        automation,
        actor,
        at,
        detail,
      });
      said.push({
        activationId: id,
        vehicleId,
        event,
        from,
        to,
        actor,
        detail,
        queuedAt: activation.queuedAt,
      });
      for (const row of notifies) due.push({ row, subject: { activationId: id, vehicleId } });
    }
    if (moved > 0) patches.push({ id, state, patch: { ...patch, state } });
    return { moved, refused };
  });
  if (patches.length === 0) return answers;
  await sql`
    update activations as activation
    set (state, entitlement_id, maintenance_status, maintenance_checked_at, capture_before, presumed_until,
         payment_confirmed, attempts_used, attempts_allowed, retry_at, end_reason, queued_at, ended_at) = (
      select state, entitlement_id, maintenance_status, maintenance_checked_at, capture_before, presumed_until,
             payment_confirmed, attempts_used, attempts_allowed, retry_at, end_reason, queued_at, ended_at
      from jsonb_populate_record(activation, next.patch))
    from unnest(${patches.map(({ id }) => id)}::uuid[], ${patches.map(({ patch }) => JSON.stringify(patch))}::jsonb[])
      as next (id, patch)
    where activation.id = next.id`.execute(tx);
  await recordSteps(tx, steps);
  await publishMany(context, tx, "notificationDue", due);
  await publishMany(context, tx, "activationMoved", said);
  return answers;
}
