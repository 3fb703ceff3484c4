import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { mustMoveActivations } from "../../lifecycle/move-activations.ts";
import { decideMaintenanceGate } from "../../rules/maintenance-gate.ts";
import type { Transaction } from "../../store/database.ts";
import { loadActivations } from "./load-activations.ts";

/** The workshops have answered: where maintenance allows it the payment is asked for, otherwise the service is denied. */
export async function passGates(
  context: Context,
  tx: Transaction,
  checks: readonly DomainEvents["maintenanceChecked"][],
): Promise<void> {
  const statusOf = new Map(checks.map(({ activationId, status }) => [activationId, status]));
  const { activations } = await loadActivations(tx, [...statusOf.keys()]);
  // A job runs at least once; a second answer about a decided check changes nothing.
  const gates = activations.flatMap((activation) => {
    const status = statusOf.get(activation.id);
    if (status === undefined || activation.state !== "MaintenanceCheck") return [];
    const verdict = decideMaintenanceGate(
      { dependsOnMaintenance: activation.facts.serviceDependsOnMaintenance },
      status,
    );
    const isDenied = verdict.event === "maintenanceOverdue" || verdict.event === "maintenanceUnavailable";
    const noted = verdict.event === "maintenanceNotRequired" ? ("notRequired" as const) : status;
    return [{ activation, status, verdict, isDenied, noted }];
  });
  await mustMoveActivations(
    context,
    tx,
    gates.map(({ activation, status, verdict, isDenied, noted }) => ({
      activation,
      moves: [
        {
          event: verdict.event,
          actor: system,
          set: {
            maintenance_status: noted,
            maintenance_checked_at: context.clock.now(),
            ...(isDenied ? { end_reason: verdict.event } : {}),
          },
          detail: { maintenance: status, reason: verdict.reason },
        },
      ],
    })),
  );
  await context.publish(
    tx,
    "servicePaymentRequested",
    gates
      .filter(({ isDenied }) => !isDenied)
      .map(({ activation: { id, customerId, priceCents, currency, paymentMethod } }) => ({
        activationId: id,
        customerId,
        amountCents: priceCents,
        currency,
        paymentMethod,
      })),
  );
}
