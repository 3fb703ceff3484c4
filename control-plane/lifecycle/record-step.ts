import { sql } from "kysely";
import { type AutomationId, isAutomatic } from "../rules/automation-table.ts";
import type { Transaction } from "../store/database.ts";
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

/** Writes down executed steps in the transaction that executes them; they are numbered in the order given. */
export async function recordSteps(tx: Transaction, steps: readonly Step[]): Promise<void> {
  if (steps.length === 0) return;
  const column = <Value>(read: (step: Step) => Value): Value[] => steps.map(read);
  await sql`
    with written as (
      insert into steps (expediente_id, vehicle_id, activation_id, event, from_state, to_state, arrow, automation_row,
                         automatic, actor_kind, actor_id, detail, at)
      select * from unnest(
        ${column(({ expedienteId }) => expedienteId ?? null)}::uuid[],
        ${column(({ vehicleId }) => vehicleId ?? null)}::uuid[],
        ${column(({ activationId }) => activationId ?? null)}::uuid[],
        ${column(({ event }) => event)}::text[],
        ${column(({ from }) => from ?? null)}::text[],
        ${column(({ to }) => to ?? null)}::text[],
        ${column(({ arrow }) => arrow ?? null)}::text[],
        ${column(({ automation }) => automation)}::text[],
        ${column(isStepAutomatic)}::boolean[],
        ${column(({ actor }) => actor.kind)}::text[],
        ${column(({ actor }) => actorId(actor))}::text[],
        ${column(({ detail }) => JSON.stringify(detail ?? {}))}::jsonb[],
        ${column(({ at }) => at)}::timestamptz[])
    )
    select pg_notify(${stepsChannel}, '')`.execute(tx);
}
