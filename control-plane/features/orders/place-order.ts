import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { mustMoveVehicles } from "../../lifecycle/move-vehicles.ts";
import { askPartner, expectNews } from "../../lifecycle/partner-requests.ts";
import type { Factory } from "../../partners/factory.ts";
import type { Transaction } from "../../store/database.ts";
import { lockOrder, matterOf, type Order, readOrder } from "./order-row.ts";

/**
 * Places the order at the factory. Runs at least once: an order already placed is left alone.
 *
 * @throws PartnerUnavailable: try again later, the reference makes sure that one car is built
 */
export async function placeOrder(
  context: Context,
  factory: Factory,
  orderId: string,
  attempt: number,
): Promise<void> {
  const order = await readOrder(context.db, orderId);
  if (order.status !== "placing") return;
  const { reference, configuration } = order;
  await askPartner(context, matterOf(order), attempt, {
    ask: (tries) => factory.placeOrder({ reference, configuration }, tries),
    record: async (tx, { orderId: factoryOrderId }) =>
      recordPlacedOrder(context, tx, await lockOrder(tx, orderId), factoryOrderId),
    refusalTask: "orderRefused",
  });
}

/**
 * The factory has the order (VA1): from its answer, or from a webhook that overtook the answer. Once is enough.
 * @param order its row, locked
 */
export async function recordPlacedOrder(
  context: Context,
  tx: Transaction,
  order: Order,
  factoryOrderId: string,
): Promise<void> {
  if (order.status !== "placing") return;
  await tx
    .updateTable("orders")
    .set({ status: "placed", factory_order_id: factoryOrderId, placed_at: context.clock.now() })
    .where("id", "=", order.id)
    .execute();
  await expectNews(context, tx, matterOf(order));
  await mustMoveVehicles(context, tx, [
    {
      vehicleId: order.vehicle_id,
      event: "factoryOrderPlaced",
      actor: system,
      set: { factory_order_placed: true },
      detail: {
        orderId: order.id,
        factoryOrderId,
        base: order.configuration.base,
        options: order.configuration.options,
      },
    },
  ]);
}
