import { sql } from "kysely";
import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import { type Actor, system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type ActivationMoves, mustMoveActivations } from "../../lifecycle/move-activations.ts";
import { activationMachine, factsBeforePurchase } from "../../rules/activation-machine.ts";
import { decide } from "../../rules/interpreter.ts";
import type { ActivationFacts } from "../../rules/types.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { lockLinks } from "../../store/lock-links.ts";
import { type Each, mapEach } from "../../store/map-each.ts";
import { plainArray } from "../../store/plain-array.ts";
import { attemptsAllowed } from "./load-activations.ts";

export type Selection = {
  vehicleId: string;
  serviceId: string;
  customerId: string;
  paymentMethod: string;
  /** Whole terms of the catalogue's duration. */
  terms: number;
  actor: Actor;
};

export type Selected = { kind: "selected"; activationId: string };

/**
 * Customers choose services and confirm their prices: ServiceSelected, then the maintenance check is asked for.
 * Nothing is held or charged before the workshops have answered. The answers are in the order of the list; a refused
 * selection has written nothing.
 */
export async function selectServices<const All extends readonly Selection[]>(
  context: Context,
  tx: Transaction,
  selections: All,
): Promise<Each<All, Selected | Refusal>> {
  // Two taps on "buy" must not become two holds: one activation or term of a service at a time in one car.
  await lockLinks(tx, { vehicleIds: selections.map(({ vehicleId }) => vehicleId) });
  const offers = await readOffers(tx, selections);
  /** Activations under way or active, by car and service: those of this list too. */
  const running = new Map<string, string>();
  const chosen: Chosen[] = [];
  const answers = mapEach(selections, (selection, index): Selected | Refusal => {
    const offer = offers[index];
    if (offer === undefined || !offer.isOfAVehicle) throw new Error(`no vehicle ${selection.vehicleId}`);
    if (offer.service === null)
      return refuse("unknownChoice", "the catalogue offers no such service", { field: "body.serviceId" });
    const pair = `${selection.vehicleId} ${selection.serviceId}`;
    const same = offer.running ?? running.get(pair);
    if (same !== undefined)
      return refuse(
        "conflict",
        `${offer.service.name} is already active in this car, or on its way (activation ${same})`,
      );
    const refused = decide(activationMachine, "start", "serviceSelected", offer.facts);
    if (refused.kind === "refused") return refuseByRule(refused);
    const activationId = newId();
    running.set(pair, activationId);
    chosen.push({ activationId, selection, vin: offer.vin, service: offer.service, facts: offer.facts });
    return { kind: "selected", activationId };
  });
  await mustMoveActivations(
    context,
    tx,
    chosen.map((one) => begin(one, context.clock.now())),
  );
  await context.publish(
    tx,
    "maintenanceCheckRequested",
    chosen.map(({ activationId, vin }) => ({ activationId, vin })),
  );
  return answers;
}

type Service = { code: string; name: string; priceCents: number; currency: string; durationDays: number };
type Chosen = {
  activationId: string;
  selection: Selection;
  vin: string | null;
  service: Service;
  facts: ActivationFacts;
};

function begin({ activationId, selection, service, facts }: Chosen, now: Date): ActivationMoves {
  const { vehicleId, customerId, serviceId, paymentMethod, terms, actor } = selection;
  const priceCents = service.priceCents * terms;
  return {
    activation: {
      id: activationId,
      vehicleId,
      state: "start",
      queuedAt: null,
      facts,
      created: {
        customer_id: customerId,
        service_id: serviceId,
        price_cents: priceCents,
        currency: service.currency,
        duration_days: service.durationDays * terms,
        payment_method: paymentMethod,
        attempts_allowed: attemptsAllowed,
        created_at: now,
      },
    },
    moves: [
      { event: "serviceSelected", actor, detail: { service: service.code, priceCents } },
      { event: "validationStarted", actor: system },
    ],
  };
}

type Offer = {
  isOfAVehicle: boolean;
  vin: string | null;
  /** `null`: the catalogue does not offer it. */
  service: Service | null;
  facts: ActivationFacts;
  /** The activation of this service in this car that is under way or active. */
  running: string | undefined;
};

/** What the selections are judged by, in their order. */
async function readOffers(tx: Transaction, selections: readonly Selection[]): Promise<Offer[]> {
  const { rows } = await sql<{
    vehicle_id: string | null;
    vin: string | null;
    code: string | null;
    name: string;
    price_cents: number;
    currency: string;
    duration_days: number;
    depends_on_maintenance: boolean | null;
    is_operational: boolean;
    is_linked: boolean;
    is_owner: boolean;
    running: string | null;
  }>`
    select vehicle.id as vehicle_id, vehicle.vin, service.code, service.name, service.price_cents, service.currency, service.duration_days,
           service.depends_on_maintenance, vehicle.state = 'Operational' as is_operational,
           vehicle.app_linked_at is not null as is_linked,
           coalesce(vehicle.owner_customer_id = asked.customer_id, false) as is_owner, running.id as running
    from unnest(${plainArray(selections.map(({ vehicleId }) => vehicleId))}::uuid[],
                ${plainArray(selections.map(({ serviceId }) => serviceId))}::uuid[],
                ${plainArray(selections.map(({ customerId }) => customerId))}::uuid[])
      with ordinality as asked (vehicle_id, service_id, customer_id, position)
    left join vehicles vehicle on vehicle.id = asked.vehicle_id
    left join catalog_services service on service.id = asked.service_id and service.offered
    left join lateral (
      select activation.id from activations activation
      left join entitlements entitlement on entitlement.id = activation.entitlement_id
      where activation.vehicle_id = asked.vehicle_id and activation.service_id = asked.service_id
        and (activation.ended_at is null
          or (activation.state = 'ServiceActive' and entitlement.state = 'proved'))
      limit 1
    ) running on true
    order by asked.position`.execute(tx);
  return rows.map((row) => ({
    isOfAVehicle: row.vehicle_id !== null,
    vin: row.vin,
    service:
      row.code === null
        ? null
        : {
            code: row.code,
            name: row.name,
            priceCents: row.price_cents,
            currency: row.currency,
            durationDays: row.duration_days,
          },
    facts: factsBeforePurchase({
      vehicleOperational: row.is_operational,
      appLinked: row.is_linked,
      requesterIsCurrentOwner: row.is_owner,
      serviceDependsOnMaintenance: row.depends_on_maintenance !== false,
    }),
    running: row.running ?? undefined,
  }));
}
