import { sql } from "kysely";
import type { ActivationState } from "../../rules/activation-machine.ts";
import { activationRetryPolicy, countAttemptsAllowed } from "../../rules/retry-policy.ts";
import type { ActivationFacts } from "../../rules/types.ts";
import type { Transaction } from "../../store/database.ts";

export const attemptsAllowed = countAttemptsAllowed(activationRetryPolicy);

/** An activation with what the rules and its next step need to know. */
export type LoadedActivation = {
  id: string;
  vehicleId: string;
  customerId: string;
  state: ActivationState | "start" | "end";
  entitlementId: string | null;
  service: { id: string; code: string; name: string; configuration: { readonly [key: string]: unknown } };
  priceCents: number;
  currency: string;
  durationDays: number;
  paymentMethod: string;
  captureBefore: Date | null;
  /** Set while the payment is presumed: when it must be known. */
  presumedUntil: Date | null;
  queuedAt: Date | null;
  facts: ActivationFacts;
};

/** Locks the activation and reads its facts as they are now. */
export async function loadActivation(tx: Transaction, activationId: string): Promise<LoadedActivation> {
  const [loaded] = await loadActivations(tx, [activationId]);
  if (loaded === undefined) throw new Error(`no activation ${activationId}`);
  return loaded;
}

/** The same for many, locked in the order of their ids and given in that order. */
export async function loadActivations(
  tx: Transaction,
  activationIds: readonly string[],
): Promise<LoadedActivation[]> {
  if (activationIds.length === 0) return [];
  const rows = await tx
    .selectFrom("activations as activation")
    .innerJoin("catalog_services as service", "service.id", "activation.service_id")
    .innerJoin("vehicles as vehicle", "vehicle.id", "activation.vehicle_id")
    .where(sql<boolean>`activation.id = any(${[...activationIds]}::uuid[])`)
    .orderBy("activation.id")
    .forUpdate("activation")
    .select([
      "activation.id",
      "activation.vehicle_id",
      "activation.customer_id",
      "activation.state",
      "activation.entitlement_id",
      "activation.price_cents",
      "activation.currency",
      "activation.duration_days",
      "activation.payment_method",
      "activation.capture_before",
      "activation.presumed_until",
      "activation.maintenance_status",
      "activation.payment_confirmed",
      "activation.attempts_used",
      "activation.attempts_allowed",
      "activation.queued_at",
      "service.id as service_id",
      "service.code",
      "service.name",
      "service.configuration",
      "service.depends_on_maintenance",
      "vehicle.state as vehicle_state",
      "vehicle.app_linked_at",
      "vehicle.owner_customer_id",
    ])
    .execute();
  return rows.map((row) => ({
    id: row.id,
    vehicleId: row.vehicle_id,
    customerId: row.customer_id,
    state: row.state,
    entitlementId: row.entitlement_id,
    service: { id: row.service_id, code: row.code, name: row.name, configuration: row.configuration },
    priceCents: row.price_cents,
    currency: row.currency,
    durationDays: row.duration_days,
    paymentMethod: row.payment_method,
    captureBefore: row.capture_before,
    presumedUntil: row.presumed_until,
    queuedAt: row.queued_at,
    facts: {
      vehicleOperational: row.vehicle_state === "Operational",
      appLinked: row.app_linked_at !== null,
      requesterIsCurrentOwner: row.owner_customer_id === row.customer_id,
      serviceDependsOnMaintenance: row.depends_on_maintenance,
      maintenanceValidated: row.maintenance_status === "current",
      paymentConfirmed: row.payment_confirmed,
      attemptsUsed: row.attempts_used,
      attemptsAllowed: row.attempts_allowed,
    },
  }));
}
