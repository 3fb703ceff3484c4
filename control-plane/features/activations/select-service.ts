import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveActivation } from "../../lifecycle/move-activation.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { attemptsAllowed, loadActivation, loadSelectionFacts } from "./load-facts.ts";

export type Selection = {
  vehicleId: string;
  serviceId: string;
  customerId: string;
  paymentMethod: string;
  /** Whole terms of the catalogue's duration. */
  terms: number;
  actor: Actor;
};

/**
 * The customer chooses a service and confirms its price: ServiceSelected, then the maintenance check is asked
 * for. Nothing is held or charged before the workshops have answered.
 */
export async function selectService(
  context: Context,
  tx: Transaction,
  selection: Selection,
): Promise<{ kind: "selected"; activationId: string } | Refusal> {
  const service = await tx
    .selectFrom("catalog_services")
    .selectAll()
    .where("id", "=", selection.serviceId)
    .where("offered", "=", true)
    .executeTakeFirst();
  if (service === undefined)
    return refuse("unknownChoice", "the catalogue offers no such service", { field: "body.serviceId" });
  const { vehicleId, customerId } = selection;
  const facts = await loadSelectionFacts(tx, {
    vehicleId,
    customerId,
    dependsOnMaintenance: service.depends_on_maintenance,
  });

  // Two taps on "buy" must not become two holds: one activation or term of a service at a time in one car.
  // The lock is the one that reports take too, so that the order of locks is the same everywhere.
  await tx
    .selectFrom("vehicle_links")
    .select("vehicle_id")
    .where("vehicle_id", "=", vehicleId)
    .forUpdate()
    .execute();
  const same = await tx
    .selectFrom("activations")
    .leftJoin("entitlements", "entitlements.id", "activations.entitlement_id")
    .where("activations.vehicle_id", "=", vehicleId)
    .where("activations.service_id", "=", service.id)
    .where((where) =>
      where.or([
        where("activations.ended_at", "is", null),
        where.and([
          where("activations.state", "=", "ServiceActive"),
          where("entitlements.state", "=", "proved"),
        ]),
      ]),
    )
    .select("activations.id")
    .executeTakeFirst();
  if (same !== undefined)
    return refuse(
      "conflict",
      `${service.name} is already active in this car, or on its way (activation ${same.id})`,
    );

  const activationId = newId();
  await tx
    .insertInto("activations")
    .values({
      id: activationId,
      vehicle_id: vehicleId,
      customer_id: customerId,
      service_id: service.id,
      state: "start",
      price_cents: service.price_cents * selection.terms,
      currency: service.currency,
      duration_days: service.duration_days * selection.terms,
      payment_method: selection.paymentMethod,
      attempts_allowed: attemptsAllowed,
      created_at: context.clock.now(),
    })
    .execute();
  const selected = await moveActivation(context, tx, {
    activationId,
    event: "serviceSelected",
    actor: selection.actor,
    facts,
    detail: { service: service.code, priceCents: service.price_cents * selection.terms },
  });
  if (selected.kind === "refused") return refuseByRule(selected);
  const { facts: selectedFacts } = await loadActivation(tx, activationId);
  const validation = await moveActivation(context, tx, {
    activationId,
    event: "validationStarted",
    actor: { kind: "system" },
    facts: selectedFacts,
  });
  if (validation.kind === "refused") return refuseByRule(validation);
  await context.publish(tx, "maintenanceCheckRequested", { activationId, vehicleId });
  return { kind: "selected", activationId };
}
