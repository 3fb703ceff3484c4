import { sql } from "kysely";
import { type ActivationState, waitsForTheCar } from "../../rules/activation-machine.ts";
import { activationRetryPolicy, countAttemptsAllowed } from "../../rules/retry-policy.ts";
import type { ActivationFacts } from "../../rules/types.ts";
import type { Transaction } from "../../store/database.ts";
import { type LinkRows, lockLinks } from "../../store/lock-links.ts";
import { plainArray } from "../../store/plain-array.ts";

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
  /** While in RetryQueue: not before. */
  retryAt: Date | null;
  facts: ActivationFacts;
};

/** Cars under their locks, with the activations that a caller is about and those that wait for these cars. */
export type LockedCars = {
  links: LinkRows;
  /** In the order of their ids. */
  activations: LoadedActivation[];
  /** Of these cars, in `waitsForTheCar`; some of `activations` may be among them. */
  waiting: LoadedActivation[];
};

/**
 * Locks the cars of these activations, then the activations: the order of locks everywhere, since a report about one
 * of them may be on its way in. What is first under the lock decides.
 */
export async function loadUnderCarsLock(
  tx: Transaction,
  activationIds: readonly string[],
): Promise<LockedCars> {
  const links = await lockLinks(tx, { activationIds });
  const loaded = await loadActivations(tx, activationIds, [...links.keys()]);
  return { links, ...loaded };
}

/** The same for one. */
export async function loadOneUnderCarsLock(
  tx: Transaction,
  activationId: string,
): Promise<LockedCars & { activation: LoadedActivation }> {
  const cars = await loadUnderCarsLock(tx, [activationId]);
  const [activation] = cars.activations;
  if (activation === undefined) throw new Error(`no activation ${activationId}`);
  return { ...cars, activation };
}

/**
 * Locks activations in the order of their ids and reads their facts as they are now.
 *
 * @param vehicleIds cars that the caller has locked, and whose waiting activations are loaded too
 */
export async function loadActivations(
  tx: Transaction,
  activationIds: readonly string[],
  vehicleIds: readonly string[] = [],
): Promise<Omit<LockedCars, "links">> {
  if (activationIds.length + vehicleIds.length === 0) return { activations: [], waiting: [] };
  const rows = await tx
    .selectFrom("activations as activation")
    .innerJoin("catalog_services as service", "service.id", "activation.service_id")
    .innerJoin("vehicles as vehicle", "vehicle.id", "activation.vehicle_id")
    .where((where) =>
      where.or([
        sql<boolean>`activation.id = any(${plainArray(activationIds)}::uuid[])`,
        where.and([
          sql<boolean>`activation.vehicle_id = any(${plainArray(vehicleIds)}::uuid[])`,
          where("activation.state", "in", waitsForTheCar),
        ]),
      ]),
    )
    .orderBy("activation.id")
    .forUpdate("activation")
    .select([
      "activation.id",
      "activation.vehicle_id as vehicleId",
      "activation.customer_id as customerId",
      "activation.state",
      "activation.entitlement_id as entitlementId",
      "activation.price_cents as priceCents",
      "activation.currency",
      "activation.duration_days as durationDays",
      "activation.payment_method as paymentMethod",
      "activation.capture_before as captureBefore",
      "activation.presumed_until as presumedUntil",
      "activation.queued_at as queuedAt",
      "activation.retry_at as retryAt",
      "activation.maintenance_status",
      "activation.payment_confirmed as paymentConfirmed",
      "activation.attempts_used as attemptsUsed",
      "activation.attempts_allowed as attemptsAllowed",
      "service.id as serviceId",
      "service.code",
      "service.name",
      "service.configuration",
      "service.depends_on_maintenance as serviceDependsOnMaintenance",
      "vehicle.state as vehicle_state",
      "vehicle.app_linked_at",
      "vehicle.owner_customer_id",
    ])
    .execute();
  const loaded = rows.map((row): LoadedActivation => {
    const { serviceId: id, code, name, configuration, serviceDependsOnMaintenance, ...activation } = row;
    const { paymentConfirmed, attemptsUsed, attemptsAllowed: allowed } = row;
    return {
      ...activation,
      service: { id, code, name, configuration },
      facts: {
        vehicleOperational: row.vehicle_state === "Operational",
        appLinked: row.app_linked_at !== null,
        requesterIsCurrentOwner: row.owner_customer_id === row.customerId,
        serviceDependsOnMaintenance,
        maintenanceValidated: row.maintenance_status === "current",
        paymentConfirmed,
        attemptsUsed,
        attemptsAllowed: allowed,
      },
    };
  });
  const asked = new Set(activationIds);
  return {
    activations: loaded.filter(({ id }) => asked.has(id)),
    waiting: loaded.filter(({ state }) => isIn(waitsForTheCar, state)),
  };
}

export function isIn(states: readonly ActivationState[], state: LoadedActivation["state"]): boolean {
  return states.some((one) => one === state);
}
