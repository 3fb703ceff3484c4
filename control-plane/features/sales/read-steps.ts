import { setTimeout } from "node:timers/promises";
import { sql } from "kysely";
import type * as z from "zod";
import { type AutomationId, automationTable } from "../../rules/automation-table.ts";
import type { Db } from "../../store/database.ts";
import type { NotifyListener } from "../../store/notify-listener.ts";
import { settledBefore } from "../../store/settled.ts";
import type { stepSchema } from "./record-schema.ts";

export type StepRecord = z.input<typeof stepSchema>;

/** A caller that wants more asks again with the last id. */
const maxSteps = 500;

/** Committed steps that an older transaction may still put others before are looked at again after this. */
const unsettledMs = 10;
/** Even a caller that does not wait gets steps committed just now, unless another transaction writes longer than this. */
const unsettledPatienceMs = 500;

/**
 * The steps of an expediente and of its car's services after step `after`, in order and without gaps: a caller that
 * continues after the last one misses nothing. Waits up to `waitMs` for the first one when there is none yet.
 */
export async function readSteps(
  db: Db,
  feed: NotifyListener,
  asked: { expedienteId: string; after: number; waitMs: number; signal: AbortSignal },
): Promise<StepRecord[]> {
  const began = performance.now();
  for (;;) {
    const heard = feed.count();
    const { steps, isComplete } = await selectSteps(db, asked.expedienteId, asked.after);
    const waitedMs = performance.now() - began;
    if (steps.length > 0) return steps;
    if (!isComplete && waitedMs < Math.max(asked.waitMs, unsettledPatienceMs) && !asked.signal.aborted)
      await setTimeout(unsettledMs);
    else if (waitedMs >= asked.waitMs) return steps;
    else if (!(await feed.waitPast(heard, asked.waitMs - waitedMs, asked.signal))) return steps;
  }
}

/** `isComplete`: no step was committed that an older transaction may still put another one before. */
async function selectSteps(
  db: Db,
  expedienteId: string,
  after: number,
): Promise<{ steps: StepRecord[]; isComplete: boolean }> {
  const { vehicle_id: vehicleId, customer_id: customerId } = await db
    .selectFrom("expedientes")
    .where("id", "=", expedienteId)
    .select(["vehicle_id", "customer_id"])
    .executeTakeFirstOrThrow();
  const settled = await settledBefore(db);
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
    .select(sql<boolean>`recorded_at < ${settled}::timestamptz`.as("is_settled"))
    .execute();
  const firstUnsettled = rows.findIndex((row) => !row.is_settled);
  const given = firstUnsettled === -1 ? rows : rows.slice(0, firstUnsettled);
  const steps = given.map((row) => ({
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
  return { steps, isComplete: firstUnsettled === -1 };
}

function isAutomationId(text: string): text is AutomationId {
  return Object.hasOwn(automationTable, text);
}

function describeAutomation(row: string | null): StepRecord["automation"] {
  if (row === null) return null;
  if (!isAutomationId(row)) throw new Error(`a step names the unknown automation row ${row}`);
  return { row, step: automationTable[row].step };
}
