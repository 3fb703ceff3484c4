import { type Insertable, type RawBuilder, sql, type Updateable } from "kysely";
import {
  type ActivationEvent,
  type ActivationState,
  activationMachine,
} from "../rules/activation-machine.ts";
import { decide, isFinal } from "../rules/interpreter.ts";
import type { ActivationFacts, Refused } from "../rules/types.ts";
import type { Transaction } from "../store/database.ts";
import { type Each, mapEach } from "../store/map-each.ts";
import type { Database } from "../store/schema.ts";
import type { Actor } from "./actor.ts";
import type { Context } from "./context.ts";
import type { DomainEvents } from "./events.ts";
import { patchRows } from "./patch-rows.ts";
import { recordSteps, type Step } from "./record-step.ts";

/** What moves with an activation's state. */
const patchColumns = [
  "state",
  "entitlement_id",
  "maintenance_status",
  "maintenance_checked_at",
  "capture_before",
  "presumed_until",
  "payment_confirmed",
  "attempts_used",
  "attempts_allowed",
  "retry_at",
  "end_reason",
  "queued_at",
  "ended_at",
] as const satisfies readonly (keyof Updateable<Database["activations"]>)[];

type Patch = Partial<Pick<Updateable<Database["activations"]>, (typeof patchColumns)[number]>>;

export type ActivationMove = {
  event: ActivationEvent;
  actor: Actor;
  /** What the event brings; the guards see the facts among it. */
  set?: Omit<Patch, "state" | "ended_at">;
  detail?: Step["detail"];
};

/** One activation as it was read under its lock, and the events it takes now, one after the other. */
export type ActivationMoves = {
  activation: {
    id: string;
    vehicleId: string;
    state: ActivationState | "start" | "end";
    queuedAt: Date | null;
    facts: ActivationFacts;
    /** Of one that begins here: its row, which is inserted in the state that it moves to. */
    created?: Omit<Insertable<Database["activations"]>, "id" | "vehicle_id" | "state">;
  };
  moves: readonly ActivationMove[];
};

/** `refused`: by the rules, at the first event they do not take; what came before it is written. */
export type ActivationMoved = { moved: number; refused: Refused | null };

/**
 * The one way to change an activation's state. The caller has locked the rows and read their states in this
 * transaction; states, steps and notifications are committed together with what the handlers of `activationMoved`
 * add. The answers are in the order of the list.
 *
 * @param changes what else changes with the moves, as their deadlines, written by the same statement
 */
export async function moveActivations<const All extends readonly ActivationMoves[]>(
  context: Context,
  tx: Transaction,
  all: All,
  changes: readonly RawBuilder<unknown>[] = [],
): Promise<Each<All, ActivationMoved>> {
  const at = context.clock.now();
  const patches = new Map<string, Patch>();
  const steps: Step[] = [];
  const moved: DomainEvents["activationMoved"][] = [];
  const due: DomainEvents["notificationDue"][] = [];
  const answers = mapEach(all, ({ activation, moves }): ActivationMoved => {
    const { id: activationId, vehicleId } = activation;
    let { state, facts, queuedAt } = activation;
    for (const [index, { event, actor, set = {}, detail = {} }] of moves.entries()) {
      facts = { ...facts, ...factsBroughtBy(set) };
      const decision = decide(activationMachine, state, event, facts);
      if (decision.kind === "refused") return { moved: index, refused: decision };
      const { from, to, arrowId: arrow, automation, notifies } = decision;
      state = to;
      // The attempt that begins is counted from here on: its own guard asks whether one is left.
      if (typeof set.attempts_used === "number") facts = { ...facts, attemptsUsed: set.attempts_used };
      if (set.queued_at instanceof Date) queuedAt = set.queued_at;
      const ended = isFinal(activationMachine, to) ? { ended_at: at } : {};
      patches.set(activationId, { ...patches.get(activationId), ...set, ...ended, state });
      steps.push({ vehicleId, activationId, event, from, to, arrow, automation, actor, at, detail });
      moved.push({ activationId, vehicleId, event, from, to, actor, detail, queuedAt });
      for (const row of notifies) due.push({ row, subject: { activationId, vehicleId } });
    }
    return { moved: moves.length, refused: null };
  });
  const created = all.flatMap(({ activation: { id, vehicleId, created: row } }) => {
    const patch = patches.get(id);
    if (row === undefined || patch?.state === undefined) return [];
    patches.delete(id);
    return [{ id, vehicle_id: vehicleId, ...row, ...patch, state: patch.state }];
  });
  await recordSteps(tx, steps, [
    ...(created.length === 0 ? [] : [sql`${tx.insertInto("activations").values(created)}`]),
    ...patchRows("activations", patchColumns, patches),
    ...changes,
  ]);
  await context.publish(tx, "notificationDue", due);
  await context.publish(tx, "activationMoved", moved);
  return answers;
}

/** The same for events that must be possible here. @throws when the rules refuse one: a mistake of ours */
export async function mustMoveActivations(
  context: Context,
  tx: Transaction,
  all: readonly ActivationMoves[],
): Promise<void> {
  for (const { refused } of await moveActivations(context, tx, all))
    if (refused !== null) throw new Error(refused.message);
}

/** Facts that an event itself brings: the guards judge what is true with it. */
function factsBroughtBy(set: Patch): Partial<ActivationFacts> {
  return {
    ...(set.maintenance_status === undefined
      ? {}
      : { maintenanceValidated: set.maintenance_status === "current" }),
    ...(set.payment_confirmed === undefined ? {} : { paymentConfirmed: set.payment_confirmed === true }),
    ...(typeof set.attempts_allowed === "number" ? { attemptsAllowed: set.attempts_allowed } : {}),
  };
}
