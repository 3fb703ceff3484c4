import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import { expectNews } from "../../lifecycle/partner-requests.ts";
import type { Transaction } from "../../store/database.ts";
import { enqueueHandOver, enqueuePlacement } from "./jobs.ts";
import { lockOrder, matterOf } from "./order-row.ts";

/** Staff have the factory asked again for what it has not taken yet. */
export async function askFactoryAgain(
  context: Context,
  tx: Transaction,
  orderId: string,
): Promise<Refusal | null> {
  const order = await lockOrder(tx, orderId);
  const token = await tx
    .selectFrom("enrolment_tokens")
    .where("vehicle_id", "=", order.vehicle_id)
    .select("handed_over_at")
    .executeTakeFirst();
  const isHandedOver =
    order.status === "completed" || order.vin === null || (token?.handed_over_at ?? null) !== null;
  if (order.status === "cancelled" || (order.status !== "placing" && isHandedOver))
    return refuse(
      "conflict",
      `there is nothing to ask the factory for: order ${order.reference} is ${order.status}`,
    );
  await expectNews(context, tx, matterOf(order), order.eta);
  if (order.status === "placing") await enqueuePlacement(tx, orderId);
  else await enqueueHandOver(tx, orderId);
  return null;
}
