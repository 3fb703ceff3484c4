import { type Selectable, sql, type Updateable } from "kysely";
import { decide, refuseAbsentArrow, refuseInWords } from "../rules/interpreter.ts";
import type { Moved, Refused, VehicleFacts } from "../rules/types.ts";
import { type VehicleEvent, type VehicleState, vehicleMachine } from "../rules/vehicle-machine.ts";
import type { Transaction } from "../store/database.ts";
import { type Each, mapEach } from "../store/map-each.ts";
import { newestSaleOf } from "../store/newest-sale.ts";
import type { Database } from "../store/schema.ts";
import type { Actor } from "./actor.ts";
import type { Context } from "./context.ts";
import type { DomainEvents } from "./events.ts";
import { patchRows } from "./patch-rows.ts";
import { recordSteps, type Step } from "./record-step.ts";

/** What moves with a vehicle's state. */
const patchColumns = [
  "state",
  "vin",
  "owner_customer_id",
  "reservation_paid",
  "factory_order_placed",
  "manufacturing_complete",
  "final_payment",
  "registration",
  "transport",
  "physically_delivered",
  "back_at_dealership",
  "app_linked_at",
  "order_cancelled",
] as const satisfies readonly (keyof Updateable<Database["vehicles"]>)[];

type Patch = Partial<Pick<Updateable<Database["vehicles"]>, (typeof patchColumns)[number]>>;
export type VehiclePatch = Omit<Patch, "state">;

export type VehicleMove = {
  vehicleId: string;
  event: VehicleEvent;
  actor: Actor;
  /** Facts that this event brings; the guards see them. */
  set?: VehiclePatch;
  /** Proved by the code on the car's own display, in this very request. */
  linkCodeProved?: boolean;
  detail?: Step["detail"];
};

/**
 * The one way to change a vehicle's state: locks the rows, lets the rules decide, and commits states, steps and
 * notifications together with what the handlers of `vehicleMoved` add. A vehicle may be in the list several times;
 * its events are taken in their order. The answers are in the order of the list.
 *
 * @returns the rules' refusals unchanged; of a refused move nothing was written.
 * @throws when there is no such vehicle.
 */
export async function moveVehicles<const Moves extends readonly VehicleMove[]>(
  context: Context,
  tx: Transaction,
  moves: Moves,
): Promise<Each<Moves, Moved<VehicleState> | Refused>> {
  const at = context.clock.now();
  const rows = await lockVehicles(
    tx,
    moves.map(({ vehicleId }) => vehicleId),
  );
  const patches = new Map<string, Patch>();
  const steps: Step[] = [];
  const moved: DomainEvents["vehicleMoved"][] = [];
  const due: DomainEvents["notificationDue"][] = [];
  const answers = mapEach(moves, (move) => {
    const { vehicleId, event, actor, set = {}, detail = {} } = move;
    const row = vehicleOf(rows, vehicleId);
    const decision = decide(vehicleMachine, row.state, event, factsOf({ ...row, ...set }, move));
    if (decision.kind === "refused") return decision;
    const { from, to, arrowId: arrow, automation, notifies } = decision;
    const expedienteId = row.expediente_id;
    // What only records something, as the change of a service, writes no row.
    if (to !== row.state || Object.keys(set).length > 0)
      patches.set(vehicleId, { ...patches.get(vehicleId), ...set, state: to });
    rows.set(vehicleId, { ...row, ...set, state: to });
    steps.push({ expedienteId, vehicleId, event, from, to, arrow, automation, actor, at, detail });
    moved.push({ vehicleId, event, from, to, actor });
    const subject = { vehicleId, ...(expedienteId === null ? {} : { expedienteId }) };
    for (const notification of notifies) due.push({ row: notification, subject });
    return decision;
  });
  await recordSteps(tx, steps, patchRows("vehicles", patchColumns, patches));
  await context.publish(tx, "notificationDue", due);
  await context.publish(tx, "vehicleMoved", moved);
  return answers;
}

/** The same for events that must be possible here. @throws when the rules refuse one: a mistake of ours */
export async function mustMoveVehicles(
  context: Context,
  tx: Transaction,
  moves: readonly VehicleMove[],
): Promise<void> {
  for (const decision of await moveVehicles(context, tx, moves))
    if (decision.kind === "refused") throw new Error(decision.message);
}

/**
 * What `moveVehicles` would answer now, with the row locked so that it stays true until the end of the transaction;
 * nothing is written. For steps that only ask someone else to act, and must be refused before they do. Where the
 * state has no such arrow, the refusal names the dependency that the event's own arrow still waits for, if any.
 */
export async function judgeVehicle(
  tx: Transaction,
  move: Pick<VehicleMove, "vehicleId" | "event" | "set" | "linkCodeProved"> & { orElse?: VehicleEvent },
): Promise<Moved<VehicleState> | Refused> {
  const row = vehicleOf(await lockVehicles(tx, [move.vehicleId]), move.vehicleId);
  const facts = factsOf({ ...row, ...move.set }, move);
  const decision = decide(vehicleMachine, row.state, move.event, facts);
  if (decision.kind === "moved" || decision.code === "guard") return decision;
  const events = move.orElse === undefined ? [move.event] : [move.event, move.orElse];
  for (const event of events) {
    const other = decide(vehicleMachine, row.state, event, facts);
    if (other.kind === "moved" || other.code === "guard") return other;
  }
  const { arrows, guards } = vehicleMachine;
  for (const { event, label, guards: ids } of arrows)
    for (const id of event === move.event ? ids : [])
      if (!guards[id].holds(facts))
        return {
          ...decision,
          code: "guard",
          rule: id,
          section: guards[id].section,
          message: refuseInWords(label, row.state, id, guards[id]),
        };
  return refuseAbsentArrow(vehicleMachine, row.state, events);
}

type VehicleRow = Selectable<Database["vehicles"]>;
type LockedVehicle = VehicleRow & { expediente_id: string | null };

/** The vehicles by id, each with its newest sale. */
async function lockVehicles(
  tx: Transaction,
  vehicleIds: readonly string[],
): Promise<Map<string, LockedVehicle>> {
  const { rows } = await sql<LockedVehicle>`
    select vehicle.*, ${newestSaleOf(sql`vehicle.id`)} as expediente_id
    from vehicles as vehicle
    where vehicle.id = any(${[...vehicleIds]}::uuid[])
    order by vehicle.id
    for update of vehicle`.execute(tx);
  return new Map(rows.map((row) => [row.id, row]));
}

function vehicleOf(vehicles: ReadonlyMap<string, LockedVehicle>, vehicleId: string): LockedVehicle {
  const row = vehicles.get(vehicleId);
  if (row === undefined) throw new Error(`no vehicle ${vehicleId}`);
  return row;
}

/** What the rules ask about a vehicle; `row` with what the event brings. */
export function factsOf(row: VehicleRow, move: Pick<VehicleMove, "linkCodeProved"> = {}): VehicleFacts {
  return {
    reservationPaid: row.reservation_paid,
    factoryOrderPlaced: row.factory_order_placed,
    manufacturingComplete: row.manufacturing_complete,
    finalPaymentReceived: row.final_payment === "received",
    registrationDocumentRecorded: row.registration === "recorded",
    transportArranged: row.transport === "arranged",
    physicallyDelivered: row.physically_delivered,
    backAtDealership: row.back_at_dealership,
    linkCodeProved: move.linkCodeProved === true,
    orderCancelled: row.order_cancelled,
  };
}
