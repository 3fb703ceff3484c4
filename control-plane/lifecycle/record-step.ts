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

/** Writes down an executed step in the transaction that executes it. */
export async function recordStep(tx: Transaction, step: Step): Promise<void> {
  await tx
    .insertInto("steps")
    .values({
      expediente_id: step.expedienteId ?? null,
      vehicle_id: step.vehicleId ?? null,
      activation_id: step.activationId ?? null,
      event: step.event,
      from_state: step.from ?? null,
      to_state: step.to ?? null,
      arrow: step.arrow ?? null,
      automation_row: step.automation,
      automatic: isStepAutomatic(step),
      actor_kind: step.actor.kind,
      actor_id: actorId(step.actor),
      detail: JSON.stringify(step.detail ?? {}),
      at: step.at,
    })
    .execute();
  await sql`select pg_notify(${stepsChannel}, '')`.execute(tx);
}
