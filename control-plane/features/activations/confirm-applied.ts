import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { mustMoveActivations } from "../../lifecycle/move-activations.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import type { Transaction } from "../../store/database.ts";
import { clearTimers } from "../../store/timers.ts";
import { loadActivations } from "./load-facts.ts";
import type { ServiceEntitlements } from "./ports.ts";

/** The cars have proved it: the terms begin, and what was held is taken. The caller holds the cars' locks. */
export async function confirmApplied(
  context: Context,
  ports: { entitlements: ServiceEntitlements },
  tx: Transaction,
  applied: readonly DomainEvents["attemptApplied"][],
  giveUpTimer: string,
): Promise<void> {
  const proofOf = new Map(applied.map((proof) => [proof.activationId, proof]));
  const loaded = await loadActivations(tx, [...proofOf.keys()]);
  const proved = loaded.flatMap((activation) => {
    const proof = proofOf.get(activation.id);
    const { entitlementId, state } = activation;
    if (proof === undefined || state !== "OTAAttempt" || entitlementId === null) return [];
    const actor = { kind: "vehicle", id: proof.vehicleId } as const;
    return [{ activation, entitlementId, actor, ...proof }];
  });
  if (proved.length === 0) return;
  await ports.entitlements.proveMany(tx, proved);
  await clearTimers(
    tx,
    giveUpTimer,
    proved.map(({ activationId }) => activationId),
  );
  await mustMoveActivations(
    context,
    tx,
    proved.map(({ activation, actor, version, appliedAt }) => ({
      activation,
      moves: [
        {
          event: "activationConfirmed" as const,
          actor,
          facts: activation.facts,
          detail: { version, attempt: activation.facts.attemptsUsed, appliedAt: appliedAt.toISOString() },
        },
      ],
    })),
  );
  const changed = await moveVehicles(
    context,
    tx,
    proved.map(({ activation, vehicleId, actor }) => ({
      vehicleId,
      event: "servicesChanged" as const,
      actor,
      detail: { service: activation.service.code, change: "activated" },
    })),
  );
  for (const [index, change] of changed.entries())
    if (change.kind === "refused")
      context.logger.warn({ vehicleId: proved[index]?.vehicleId, rule: change.rule }, change.message);
  await context.publish(
    tx,
    "serviceCaptureRequested",
    proved.map(({ activationId }) => ({ activationId })),
  );
}
