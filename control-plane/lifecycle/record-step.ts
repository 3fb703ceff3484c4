import { type RawBuilder, sql } from "kysely";
import { type AutomationId, isAutomatic } from "../rules/automation-table.ts";
import type { Transaction } from "../store/database.ts";
import { sparseArray } from "../store/plain-array.ts";
import { writtenWith } from "../store/written-with.ts";
import { type Actor, actorId, isAutomaticActor } from "./actor.ts";

/** The channel that is rung, without content, when steps were committed. */
export const stepsChannel = "caas_steps";

export type Step = {
  expedienteId?: string | null;
  vehicleId?: string | null;
  activationId?: string | null;
  event: string;
  from?: string | null;
  to?: string | null;
  arrow?: string | null;
  automation: AutomationId | null;
  actor: Actor;
  at: Date;
  /** Shown to staff and to the customer the step is about: no secrets, no card data. */
  detail?: Record<string, string | number | boolean | null | readonly string[]>;
};

/**
 * No person did it: neither one of ours, nor, where the automation table calls the step manual (a driver's
 * delivery attempt), one of the partner's.
 */
function isStepAutomatic({ actor, automation }: Step): boolean {
  return isAutomaticActor(actor) && (automation === null || isAutomatic(automation));
}

/**
 * Writes down executed steps in the transaction that executes them; they are numbered in the order given.
 *
 * @param changes what the steps change, written by the same statement
 */
export async function recordSteps(
  tx: Transaction,
  steps: readonly Step[],
  changes: readonly RawBuilder<unknown>[] = [],
): Promise<void> {
  if (steps.length + changes.length === 0) return;
  const plain = (read: (step: Step) => string | number | boolean | null) => sparseArray(steps.map(read));
  await sql`
    with ${writtenWith(changes)} written as (
      insert into steps (expediente_id, vehicle_id, activation_id, event, from_state, to_state, arrow, automation_row,
                         automatic, actor_kind, actor_id, detail, at)
      select expediente_id, vehicle_id, activation_id, event, from_state, to_state, arrow, automation_row, automatic,
             actor_kind, actor_id, detail, to_timestamp(at_ms / 1000)
      from unnest(
        ${plain(({ expedienteId }) => expedienteId ?? null)}::uuid[],
        ${plain(({ vehicleId }) => vehicleId ?? null)}::uuid[],
        ${plain(({ activationId }) => activationId ?? null)}::uuid[],
        ${plain(({ event }) => event)}::text[],
        ${plain(({ from }) => from ?? null)}::text[],
        ${plain(({ to }) => to ?? null)}::text[],
        ${plain(({ arrow }) => arrow ?? null)}::text[],
        ${plain(({ automation }) => automation)}::text[],
        ${plain(isStepAutomatic)}::boolean[],
        ${plain(({ actor }) => actor.kind)}::text[],
        ${steps.map(({ actor }) => actorId(actor))}::text[],
        ${steps.map(({ detail }) => JSON.stringify(detail ?? {}))}::jsonb[],
        ${plain(({ at }) => at.getTime())}::float8[])
        as step (expediente_id, vehicle_id, activation_id, event, from_state, to_state, arrow, automation_row,
                 automatic, actor_kind, actor_id, detail, at_ms)
    )
    select pg_notify(${stepsChannel}, '')`.execute(tx);
}
