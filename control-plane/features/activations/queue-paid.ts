import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { mustMoveActivations } from "../../lifecycle/move-activations.ts";
import { activationMachine } from "../../rules/activation-machine.ts";
import { planHoldWindows } from "../../rules/hold-windows.ts";
import { isFinal } from "../../rules/interpreter.ts";
import type { Transaction } from "../../store/database.ts";
import { setTimers } from "../../store/timers.ts";
import { loadActivations } from "./load-facts.ts";
import type { ManifestEngine, ServiceEntitlements } from "./ports.ts";
import { startNextChanges } from "./start-next-change.ts";

const secondsADay = 86_400;

/** The money is held: each waits for its turn in its car, and begins now where the car is free. */
export async function queuePaid(
  context: Context,
  ports: { manifests: ManifestEngine; entitlements: ServiceEntitlements },
  tx: Transaction,
  holds: readonly DomainEvents["servicePaymentAuthorised"][],
  giveUpTimer: string,
): Promise<void> {
  const captureBeforeOf = new Map(
    holds.map(({ activationId, captureBefore }) => [activationId, captureBefore]),
  );
  const ids = [...captureBeforeOf.keys()];
  // The cars' locks come first, as everywhere.
  await ports.manifests.lockMany(tx, await readVehicles(tx, ids));
  const loaded = await loadActivations(tx, ids);
  const paid = loaded.filter(({ state }) => state === "PaymentInitiated");
  // The customer cancelled while the bank was being asked: what it held is let go.
  await context.publish(
    tx,
    "serviceVoidRequested",
    loaded.filter(({ state }) => isFinal(activationMachine, state)).map(({ id }) => ({ activationId: id })),
  );
  if (paid.length === 0) return;
  const entitlementIds = await ports.entitlements.wantMany(
    tx,
    paid.map(({ vehicleId, service, durationDays }) => ({
      vehicleId,
      source: "service",
      code: service.code,
      configuration: service.configuration,
      durationSeconds: durationDays * secondsADay,
    })),
  );
  const now = context.clock.now();
  const due: { subjectId: string; dueAt: Date }[] = [];
  await mustMoveActivations(
    context,
    tx,
    paid.map((activation, index) => {
      const captureBefore = captureBeforeOf.get(activation.id) ?? now;
      due.push({
        subjectId: activation.id,
        dueAt: new Date(planHoldWindows(captureBefore.getTime()).giveUpAtMs),
      });
      return {
        activation: { ...activation, queuedAt: now },
        moves: [
          {
            event: "paymentAuthorised" as const,
            actor: { kind: "partner" as const, id: "paymentGateway" as const },
            facts: { ...activation.facts, paymentConfirmed: true },
            set: {
              entitlement_id: entitlementIds[index] ?? null,
              payment_confirmed: true,
              capture_before: captureBefore,
              queued_at: now,
            },
            detail: { captureBefore: captureBefore.toISOString() },
          },
        ],
      };
    }),
  );
  await setTimers(tx, giveUpTimer, due);
  await startNextChanges(
    context,
    ports,
    tx,
    paid.map(({ vehicleId }) => vehicleId),
  );
}

async function readVehicles(tx: Transaction, activationIds: readonly string[]): Promise<string[]> {
  const rows = await tx
    .selectFrom("activations")
    .select("vehicle_id")
    .where(sql<boolean>`id = any(${[...activationIds]}::uuid[])`)
    .execute();
  return rows.map(({ vehicle_id: vehicleId }) => vehicleId);
}
