import type * as z from "zod";
import { type AutomationId, automationTable } from "../../rules/automation-table.ts";
import type { Db } from "../../store/database.ts";
import type { StepFeed } from "../../store/step-feed.ts";
import type { stepSchema } from "./record-schema.ts";

export type StepRecord = z.input<typeof stepSchema>;

/** A caller that wants more asks again with the last id. */
const maxSteps = 500;

/**
 * The steps of an expediente and of its car's services after step `after`; waits up to `waitMs` for the first
 * one when there is none yet.
 */
export async function readSteps(
  db: Db,
  feed: StepFeed,
  asked: { expedienteId: string; after: number; waitMs: number; signal: AbortSignal },
): Promise<StepRecord[]> {
  const giveUpAt = performance.now() + asked.waitMs;
  for (;;) {
    const heard = feed.count();
    const steps = await selectSteps(db, asked.expedienteId, asked.after);
    const leftMs = giveUpAt - performance.now();
    if (steps.length > 0 || leftMs <= 0) return steps;
    if (!(await feed.waitPast(heard, leftMs, asked.signal))) return steps;
  }
}

async function selectSteps(db: Db, expedienteId: string, after: number): Promise<StepRecord[]> {
  const { vehicle_id: vehicleId, customer_id: customerId } = await db
    .selectFrom("expedientes")
    .where("id", "=", expedienteId)
    .select(["vehicle_id", "customer_id"])
    .executeTakeFirstOrThrow();
  const rows = await db
    .selectFrom("steps")
    .leftJoin("activations", "activations.id", "steps.activation_id")
    .where("steps.id", ">", after)
    .where((or) =>
      or.or([
        or("steps.expediente_id", "=", expedienteId),
        // A car that was sold on keeps its former owner's purchases to that owner.
        or.and([
          or("steps.vehicle_id", "=", vehicleId),
          or("steps.expediente_id", "is", null),
          or.or([or("steps.activation_id", "is", null), or("activations.customer_id", "=", customerId)]),
        ]),
      ]),
    )
    .orderBy("steps.id")
    .limit(maxSteps)
    .selectAll("steps")
    .execute();
  return rows.map((row) => ({
    id: row.id,
    at: row.at.toISOString(),
    actor: row.actor_kind,
    automatic: row.automatic,
    event: row.event,
    from: row.from_state,
    to: row.to_state,
    arrow: row.arrow,
    automation: describeAutomation(row.automation_row),
    activationId: row.activation_id,
    detail: { ...row.detail },
  }));
}

function isAutomationId(text: string): text is AutomationId {
  return Object.hasOwn(automationTable, text);
}

function describeAutomation(row: string | null): StepRecord["automation"] {
  if (row === null) return null;
  if (!isAutomationId(row)) throw new Error(`a step names the unknown automation row ${row}`);
  return { row, step: automationTable[row].step };
}
