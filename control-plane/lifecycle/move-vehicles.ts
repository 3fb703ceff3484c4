import { sql } from "kysely";
import { decide } from "../rules/interpreter.ts";
import type { Moved, Refused } from "../rules/types.ts";
import { type VehicleState, vehicleMachine } from "../rules/vehicle-machine.ts";
import type { Transaction } from "../store/database.ts";
import type { Context } from "./context.ts";
import { type DomainEvents, publishMany } from "./events.ts";
import { factsOf, parseVehicleState, type VehicleMove, type VehicleRow } from "./move-vehicle.ts";
import { recordSteps, type Step } from "./record-step.ts";

/** Events that bring no facts of their own: what happens to thousands of cars every day. */
export type PlainVehicleMove = Pick<VehicleMove, "vehicleId" | "event" | "actor" | "detail">;

/**
 * What `moveVehicle` does, for many vehicles in a handful of statements. A vehicle may stand there several times; its
 * events are taken in their order. The answers stand in the same order.
 *
 * @throws when there is no such vehicle.
 */
export async function moveVehicles(
  context: Context,
  tx: Transaction,
  moves: readonly PlainVehicleMove[],
): Promise<(Moved<VehicleState> | Refused)[]> {
  if (moves.length === 0) return [];
  const at = context.clock.now();
  const { rows } = await sql<VehicleRow & { expediente_id: string | null }>`
    select vehicle.*, sale.id as expediente_id
    from vehicles as vehicle
    left join lateral (
      select id from expedientes where vehicle_id = vehicle.id order by created_at desc limit 1
    ) as sale on true
    where vehicle.id = any(${moves.map(({ vehicleId }) => vehicleId)}::uuid[])
    order by vehicle.id
    for update of vehicle`.execute(tx);
  const vehicles = new Map(rows.map((row) => [row.id, row]));
  const steps: Step[] = [];
  const said: DomainEvents["vehicleMoved"][] = [];
  const due: DomainEvents["notificationDue"][] = [];
  const changed = new Map<string, string>();
  const answers = moves.map(({ vehicleId, event, actor, detail = {} }) => {
    const row = vehicles.get(vehicleId);
    if (row === undefined) throw new Error(`no vehicle ${vehicleId}`);
    const decision = decide(vehicleMachine, parseVehicleState(row.state), event, factsOf(row, {}));
    if (decision.kind === "refused") return decision;
    const { from, to, arrowId, automation, notifies } = decision;
    const expedienteId = row.expediente_id;
    steps.push({ expedienteId, vehicleId, event, from, to, arrow: arrowId, automation, actor, at, detail });
    said.push({ vehicleId, event, from, to, actor });
    for (const notification of notifies)
      due.push({
        row: notification,
        subject: { vehicleId, ...(expedienteId === null ? {} : { expedienteId }) },
      });
    if (to !== row.state) changed.set(vehicleId, to);
    row.state = to;
    return decision;
  });
  if (changed.size > 0)
    await sql`
      update vehicles as vehicle set state = next.state
      from unnest(${[...changed.keys()]}::uuid[], ${[...changed.values()]}::text[]) as next (id, state)
      where vehicle.id = next.id`.execute(tx);
  await recordSteps(tx, steps);
  await publishMany(context, tx, "notificationDue", due);
  await publishMany(context, tx, "vehicleMoved", said);
  return answers;
}
