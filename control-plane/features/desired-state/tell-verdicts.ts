import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { setTimers } from "../../store/timers.ts";
import type { Judged } from "./apply-judgements.ts";
import { tellThoseWaiting } from "./waiting.ts";

/** When the plan's own configuration failed, or had to wait: tried again after a while. */
export const planRetryTimer = "planRetry";
export const planRetryMs = 5 * 60 * 1_000;

/** Says what became of the changes under way; an attempt's end is also its car's next turn. */
export async function tellVerdicts(
  context: Context,
  tx: Transaction,
  judged: readonly Judged[],
): Promise<void> {
  const now = context.clock.now();
  const proved = judged.flatMap(({ link: { vehicle_id: vehicleId }, verdict }) =>
    verdict.kind === "proved"
      ? [{ vehicleId, ...verdict.attempt, appliedAt: verdict.appliedAt, doubt: verdict.doubt }]
      : [],
  );
  const failed = judged.flatMap(({ link: { vehicle_id: vehicleId }, verdict }) =>
    verdict.kind === "failed" ? [{ vehicleId, ...verdict.attempt, ...verdict }] : [],
  );
  const provedPlans = proved.filter(({ activationId }) => activationId === null);
  const failedPlans = failed.filter(({ activationId }) => activationId === null);
  await recordSteps(
    tx,
    provedPlans.map(({ vehicleId, version }) => ({
      vehicleId,
      event: "planApplied",
      automation: null,
      actor: { kind: "vehicle", id: vehicleId },
      at: now,
      detail: { version },
    })),
  );
  await setTimers(
    tx,
    planRetryTimer,
    failedPlans.map(({ vehicleId }) => ({
      subjectId: vehicleId,
      dueAt: new Date(now.getTime() + planRetryMs),
    })),
  );
  await context.publish(
    tx,
    "taskNeeded",
    failedPlans.map(({ vehicleId, version, reason, detail: said }) => ({
      kind: "planNotApplied" as const,
      detail: { version, reason, said },
      subject: { vehicleId },
    })),
  );
  await context.publish(
    tx,
    "carDoubted",
    proved.flatMap(({ vehicleId, doubt }) => (doubt === null ? [] : [{ vehicleId, doubt }])),
  );
  await context.publish(
    tx,
    "attemptApplied",
    proved.flatMap(({ activationId, vehicleId, version, appliedAt }) =>
      activationId === null ? [] : [{ activationId, vehicleId, version, appliedAt }],
    ),
  );
  await context.publish(
    tx,
    "attemptFailed",
    failed.flatMap(({ activationId, vehicleId, version, reason, failureClass }) =>
      activationId === null ? [] : [{ activationId, vehicleId, version, reason, failureClass }],
    ),
  );
  await tellThoseWaiting(
    context,
    tx,
    [...provedPlans, ...failedPlans].map(({ vehicleId }) => vehicleId),
  );
}
