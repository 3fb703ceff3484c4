import type { Updateable } from "kysely";
import { decide } from "../rules/interpreter.ts";
import type { Moved, Refused, VehicleFacts } from "../rules/types.ts";
import { type VehicleEvent, type VehicleState, vehicleMachine } from "../rules/vehicle-machine.ts";
import type { Transaction } from "../store/database.ts";
import type { Database } from "../store/schema.ts";
import type { Actor } from "./actor.ts";
import type { Context } from "./context.ts";
import { recordStep, type Step } from "./record-step.ts";

export type VehicleRow = {
  id: string;
  state: string;
  reservation_paid: boolean;
  factory_order_placed: boolean;
  manufacturing_complete: boolean;
  final_payment: "none" | "received" | "failed";
  registration: "none" | "requested" | "recorded";
  transport: "none" | "arranged";
  physically_delivered: boolean;
  order_cancelled: boolean;
};

/** The facts about a vehicle that move with its state. */
export type VehiclePatch = Partial<
  Pick<
    Updateable<Database["vehicles"]>,
    | "vin"
    | "owner_customer_id"
    | "reservation_paid"
    | "factory_order_placed"
    | "manufacturing_complete"
    | "final_payment"
    | "registration"
    | "transport"
    | "physically_delivered"
    | "app_linked_at"
    | "order_cancelled"
  >
>;

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
 * The one way to change a vehicle's state: locks its row, lets the rules decide, and commits state, step and
 * notifications together with what the handlers of `vehicleMoved` add.
 *
 * @returns the rules' refusal unchanged; then nothing was written.
 * @throws when there is no such vehicle.
 */
export async function moveVehicle(
  context: Context,
  tx: Transaction,
  move: VehicleMove,
): Promise<Moved<VehicleState> | Refused> {
  const row = await lockVehicle(tx, move.vehicleId);
  const decision = decide(
    vehicleMachine,
    parseVehicleState(row.state),
    move.event,
    factsOf({ ...row, ...move.set }, move),
  );
  if (decision.kind === "refused") return decision;

  await tx
    .updateTable("vehicles")
    .set({ ...move.set, state: decision.to })
    .where("id", "=", move.vehicleId)
    .execute();
  const expediente = await tx
    .selectFrom("expedientes")
    .select("id")
    .where("vehicle_id", "=", move.vehicleId)
    .orderBy("created_at", "desc")
    .limit(1)
    .executeTakeFirst();
  const expedienteId = expediente?.id ?? null;
  await recordStep(tx, {
    expedienteId,
    vehicleId: move.vehicleId,
    event: move.event,
    from: decision.from,
    to: decision.to,
    arrow: decision.arrowId,
    automation: decision.automation,
    actor: move.actor,
    at: context.clock.now(),
    ...(move.detail === undefined ? {} : { detail: move.detail }),
  });
  for (const row of decision.notifies)
    await context.publish(tx, "notificationDue", {
      row,
      subject: { vehicleId: move.vehicleId, ...(expedienteId === null ? {} : { expedienteId }) },
    });
  await context.publish(tx, "vehicleMoved", {
    vehicleId: move.vehicleId,
    event: move.event,
    from: decision.from,
    to: decision.to,
    actor: move.actor,
  });
  return decision;
}

/**
 * What `moveVehicle` would answer now, with the row locked so that it stays true until the end of the transaction;
 * nothing is written. For steps that only ask someone else to act, and must be refused before they do. Where the
 * state has no such arrow, the refusal names the dependency that the event's own arrow still waits for, if any.
 */
export async function judgeVehicle(
  tx: Transaction,
  move: Pick<VehicleMove, "vehicleId" | "event" | "set" | "linkCodeProved">,
): Promise<Moved<VehicleState> | Refused> {
  const row = await lockVehicle(tx, move.vehicleId);
  const facts = factsOf({ ...row, ...move.set }, move);
  const decision = decide(vehicleMachine, parseVehicleState(row.state), move.event, facts);
  if (decision.kind === "moved" || decision.code === "guard") return decision;
  const { arrows, guards } = vehicleMachine;
  const unmet = arrows
    .filter((arrow) => arrow.event === move.event)
    .flatMap((arrow) => arrow.guards)
    .find((id) => !guards[id].holds(facts));
  if (unmet === undefined) return decision;
  const { refusal, section } = guards[unmet];
  return {
    ...decision,
    code: "guard",
    rule: unmet,
    section,
    message: `vehicle: ${move.event} in ${row.state} is refused by ${unmet}. ${refusal} (${section}).`,
  };
}

async function lockVehicle(tx: Transaction, vehicleId: string): Promise<VehicleRow> {
  return tx
    .selectFrom("vehicles")
    .selectAll()
    .where("id", "=", vehicleId)
    .forUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no vehicle ${vehicleId}`));
}

const states: ReadonlySet<string> = new Set([...vehicleMachine.states, "start", "end"]);

function isVehicleState(text: string): text is VehicleState | "start" | "end" {
  return states.has(text);
}

/** @throws when the database holds a state the rules do not know. */
export function parseVehicleState(text: string): VehicleState | "start" | "end" {
  if (!isVehicleState(text)) throw new Error(`unknown vehicle state ${text}`);
  return text;
}

export function factsOf(
  row: VehicleRow & VehiclePatch,
  move: Pick<VehicleMove, "linkCodeProved">,
): VehicleFacts {
  return {
    reservationPaid: row.reservation_paid,
    factoryOrderPlaced: row.factory_order_placed,
    manufacturingComplete: row.manufacturing_complete,
    finalPaymentReceived: row.final_payment === "received",
    registrationDocumentRecorded: row.registration === "recorded",
    transportArranged: row.transport === "arranged",
    physicallyDelivered: row.physically_delivered,
    linkCodeProved: move.linkCodeProved === true,
    orderCancelled: row.order_cancelled,
  };
}
