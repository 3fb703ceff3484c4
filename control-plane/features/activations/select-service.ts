import { type Selectable, sql } from "kysely";
import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { mustMoveActivations } from "../../lifecycle/move-activations.ts";
import { activationMachine } from "../../rules/activation-machine.ts";
import { decide } from "../../rules/interpreter.ts";
import type { ActivationFacts } from "../../rules/types.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import type { Database } from "../../store/schema.ts";
import { attemptsAllowed } from "./load-facts.ts";

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
 * Customers choose services and confirm their prices: ServiceSelected, then the maintenance check is asked for.
 * Nothing is held or charged before the workshops have answered. What each choice came to stands in the same order; a
 * refused one has written nothing.
 */
export async function selectServices(
  context: Context,
  tx: Transaction,
  selections: readonly Selection[],
): Promise<({ kind: "selected"; activationId: string } | Refusal)[]> {
  // Two taps on "buy" must not become two holds: one activation or term of a service at a time in one car.
  // The lock is the one that reports take too, so that the order of locks is the same everywhere.
  const vehicleIds = selections.map(({ vehicleId }) => vehicleId);
  await sql`
    select from vehicle_links where vehicle_id = any(${vehicleIds}::uuid[]) order by vin for update`.execute(
    tx,
  );
  const services = await readServices(tx, selections);
  const vehicles = await readVehicles(tx, vehicleIds);
  const running = await findRunning(tx, selections);
  const judged = selections.map((selection): Chosen | Refusal => {
    const service = services.get(selection.serviceId);
    if (service === undefined)
      return refuse("unknownChoice", "the catalogue offers no such service", { field: "body.serviceId" });
    const vehicle = vehicles.get(selection.vehicleId);
    if (vehicle === undefined) throw new Error(`no vehicle ${selection.vehicleId}`);
    const same = running.get(pairOf(selection));
    if (same !== undefined)
      return refuse(
        "conflict",
        `${service.name} is already active in this car, or on its way (activation ${same})`,
      );
    const activationId = newId();
    running.set(pairOf(selection), activationId);
    const facts: ActivationFacts = {
      vehicleOperational: vehicle.state === "Operational",
      appLinked: vehicle.app_linked_at !== null,
      requesterIsCurrentOwner: vehicle.owner_customer_id === selection.customerId,
      serviceDependsOnMaintenance: service.depends_on_maintenance,
      maintenanceValidated: false,
      paymentConfirmed: false,
      attemptsUsed: 0,
      attemptsAllowed,
    };
    const refused = decide(activationMachine, "start", "serviceSelected", facts);
    if (refused.kind === "refused") return refuseByRule(refused);
    return { kind: "chosen", activationId, selection, service, facts };
  });
  const chosen = judged.filter((one) => one.kind === "chosen");
  await insertActivations(context, tx, chosen);
  await mustMoveActivations(
    context,
    tx,
    chosen.map(({ activationId, selection, service, facts }) => ({
      activation: { id: activationId, vehicleId: selection.vehicleId, state: "start", queuedAt: null },
      moves: [
        {
          event: "serviceSelected" as const,
          actor: selection.actor,
          facts,
          detail: { service: service.code, priceCents: service.price_cents * selection.terms },
        },
        { event: "validationStarted" as const, actor: system, facts },
      ],
    })),
  );
  await context.publish(
    tx,
    "maintenanceCheckRequested",
    chosen.map(({ activationId, selection }) => ({ activationId, vehicleId: selection.vehicleId })),
  );
  return judged.map((one) =>
    one.kind === "chosen" ? { kind: "selected", activationId: one.activationId } : one,
  );
}

type Service = Selectable<Database["catalog_services"]>;
type Chosen = {
  kind: "chosen";
  activationId: string;
  selection: Selection;
  service: Service;
  facts: ActivationFacts;
};

const pairOf = ({ vehicleId, serviceId }: Pick<Selection, "vehicleId" | "serviceId">) =>
  `${vehicleId} ${serviceId}`;

async function readServices(
  tx: Transaction,
  selections: readonly Selection[],
): Promise<Map<string, Service>> {
  const rows = await tx
    .selectFrom("catalog_services")
    .selectAll()
    .where(sql<boolean>`id = any(${selections.map(({ serviceId }) => serviceId)}::uuid[])`)
    .where("offered", "=", true)
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}

async function readVehicles(tx: Transaction, vehicleIds: readonly string[]) {
  const rows = await tx
    .selectFrom("vehicles")
    .select(["id", "state", "app_linked_at", "owner_customer_id"])
    .where(sql<boolean>`id = any(${[...vehicleIds]}::uuid[])`)
    .execute();
  return new Map(rows.map((row) => [row.id, row]));
}

/** The activation that is under way or active, by car and service. */
async function findRunning(tx: Transaction, selections: readonly Selection[]): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; vehicle_id: string; service_id: string }>`
    select activation.id, activation.vehicle_id, activation.service_id
    from unnest(${selections.map(({ vehicleId }) => vehicleId)}::uuid[],
                ${selections.map(({ serviceId }) => serviceId)}::uuid[]) as asked (vehicle_id, service_id)
    join activations activation using (vehicle_id, service_id)
    left join entitlements entitlement on entitlement.id = activation.entitlement_id
    where activation.ended_at is null
       or (activation.state = 'ServiceActive' and entitlement.state = 'proved')`.execute(tx);
  return new Map(
    rows.map((row) => [pairOf({ vehicleId: row.vehicle_id, serviceId: row.service_id }), row.id]),
  );
}

async function insertActivations(
  context: Context,
  tx: Transaction,
  chosen: readonly Chosen[],
): Promise<void> {
  if (chosen.length === 0) return;
  await tx
    .insertInto("activations")
    .values(
      chosen.map(({ activationId, selection, service }) => ({
        id: activationId,
        vehicle_id: selection.vehicleId,
        customer_id: selection.customerId,
        service_id: service.id,
        state: "start",
        price_cents: service.price_cents * selection.terms,
        currency: service.currency,
        duration_days: service.duration_days * selection.terms,
        payment_method: selection.paymentMethod,
        attempts_allowed: attemptsAllowed,
        created_at: context.clock.now(),
      })),
    )
    .execute();
}

/** One customer's choice. */
export async function selectService(
  context: Context,
  tx: Transaction,
  selection: Selection,
): Promise<{ kind: "selected"; activationId: string } | Refusal> {
  const [selected] = await selectServices(context, tx, [selection]);
  if (selected === undefined) throw new Error("a choice was not answered");
  return selected;
}
