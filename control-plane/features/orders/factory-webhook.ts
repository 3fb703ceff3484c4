import type { FactoryWebhook } from "@caas/contract/webhooks.ts";
import { refuse, refuseByRule } from "../../http/refusal.ts";
import type { Handled } from "../../http/webhook-messages.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveVehicles, type VehicleMove } from "../../lifecycle/move-vehicles.ts";
import { expectNews, expectNothing } from "../../lifecycle/partner-requests.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueueHandOver } from "./jobs.ts";
import { hasMoved, lockOrder, lockOrderByReference, matterOf, type Order } from "./order-row.ts";
import { recordPlacedOrder } from "./place-order.ts";

const factory: Actor = { kind: "partner", id: "factory" };

const done = { kind: "done" } as const;

/**
 * Handles the factory's messages about an order (DO6, AU5). Messages may be lost, repeated or out of order, so each is
 * evidence of everything before it: a late one finds its step already recorded.
 */
export async function handleFactoryWebhook(
  context: Context,
  tx: Transaction,
  webhook: FactoryWebhook,
): Promise<Handled> {
  const { orderId: factoryOrderId, reference } = webhook.data;
  const found = await lockOrderByReference(tx, reference);
  if (found === undefined) return { kind: "foreign" };
  if (found.factory_order_id !== null && found.factory_order_id !== factoryOrderId)
    return refuse("conflict", `${reference} is the factory's order ${found.factory_order_id}`);
  // It overtook the answer to our own call: the factory has the order.
  await recordPlacedOrder(context, tx, found, factoryOrderId);
  const order = found.status === "placing" ? await lockOrder(tx, found.id) : found;
  const handled = await take(context, tx, order, webhook);
  if (handled.kind === "done") await waitForNext(context, tx, found);
  return handled;
}

/** After news, the next word is expected; a completed car has none to come. */
async function waitForNext(context: Context, tx: Transaction, before: Order): Promise<void> {
  const after = await lockOrder(tx, before.id);
  if (!hasMoved(before, after)) return;
  if (after.status === "completed") await expectNothing(tx, matterOf(after));
  else await expectNews(context, tx, matterOf(after), after.eta);
}

function take(context: Context, tx: Transaction, order: Order, webhook: FactoryWebhook): Promise<Handled> {
  switch (webhook.type) {
    case "order.manufacturing_started":
      return start(context, tx, order);
    case "order.vin_assigned":
      return assignVin(context, tx, order, webhook.data.vin);
    case "order.progressed":
      return progress(context, tx, order, webhook.data);
    case "order.completed":
      return complete(context, tx, order, webhook.data.vin);
  }
}

async function start(context: Context, tx: Transaction, order: Order): Promise<Handled> {
  if (order.status !== "placed") return done;
  await tx.updateTable("orders").set({ status: "inManufacturing" }).where("id", "=", order.id).execute();
  return move(context, tx, order, { event: "manufacturingStarted" });
}

async function assignVin(context: Context, tx: Transaction, order: Order, vin: string): Promise<Handled> {
  if (order.vin === vin) return done;
  if (order.vin !== null) return refuse("conflict", `${order.reference} has the VIN ${order.vin} already`);
  const other = await tx.selectFrom("vehicles").where("vin", "=", vin).select("id").executeTakeFirst();
  if (other !== undefined) return refuse("conflict", `the VIN ${vin} belongs to another vehicle`);
  const moved = await move(context, tx, order, { event: "vinAssigned", set: { vin }, detail: { vin } });
  if (moved.kind === "refused") return moved;
  await tx.updateTable("orders").set({ vin }).where("id", "=", order.id).execute();
  await tx.updateTable("expedientes").set({ vin }).where("id", "=", order.expediente_id).execute();
  await context.publish(tx, "vinAssigned", [
    {
      vehicleId: order.vehicle_id,
      expedienteId: order.expediente_id,
      vin,
    },
  ]);
  await enqueueHandOver(tx, order.id);
  return done;
}

type Progress = Extract<FactoryWebhook, { type: "order.progressed" }>["data"];

async function progress(context: Context, tx: Transaction, order: Order, data: Progress): Promise<Handled> {
  const hasProgressed = order.milestone !== null || order.progress_percent > 0;
  const isOld = hasProgressed && data.progressPercent <= order.progress_percent;
  if (order.status === "completed" || isOld) return done;
  const started = await start(context, tx, order);
  if (started.kind === "refused") return started;
  const { progressPercent, milestone, eta } = data;
  await tx
    .updateTable("orders")
    .set({ progress_percent: progressPercent, milestone, eta: eta === null ? null : new Date(eta) })
    .where("id", "=", order.id)
    .execute();
  return move(context, tx, order, {
    event: "manufacturingProgressed",
    detail: { milestone, progressPercent, eta },
  });
}

async function complete(context: Context, tx: Transaction, order: Order, vin: string): Promise<Handled> {
  if (order.status === "completed") return done;
  const started = await start(context, tx, order);
  if (started.kind === "refused") return started;
  const named = await assignVin(context, tx, order, vin);
  if (named.kind === "refused") return named;
  await tx
    .updateTable("orders")
    .set({ status: "completed", progress_percent: 100, eta: null })
    .where("id", "=", order.id)
    .execute();
  return move(context, tx, order, {
    event: "manufacturingCompleted",
    set: { manufacturing_complete: true },
  });
}

async function move(
  context: Context,
  tx: Transaction,
  order: Order,
  change: Pick<VehicleMove, "event" | "set" | "detail">,
): Promise<Handled> {
  const [decision] = await moveVehicles(context, tx, [
    { vehicleId: order.vehicle_id, actor: factory, ...change },
  ]);
  return decision.kind === "refused" ? refuseByRule(decision) : done;
}
