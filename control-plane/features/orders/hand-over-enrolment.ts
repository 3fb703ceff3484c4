import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import type { Context } from "../../lifecycle/context.ts";
import { askPartner } from "../../lifecycle/partner-requests.ts";
import type { Factory } from "../../partners/factory.ts";
import { matterOf } from "./order-row.ts";

/** Makes the package a vehicle with a VIN is built with; each call may replace the one-time token in it. */
export type EnrolmentPackageFor = (vehicleId: string) => Promise<EnrolmentPackage>;

/** Has the factory put the car's identity into it, without which it does not leave the line. */
export async function handOverEnrolment(
  context: Context,
  factory: Factory,
  enrolmentPackageFor: EnrolmentPackageFor,
  orderId: string,
  attempt: number,
): Promise<void> {
  const order = await context.db
    .selectFrom("orders")
    .leftJoin("enrolment_tokens", "enrolment_tokens.vehicle_id", "orders.vehicle_id")
    .where("orders.id", "=", orderId)
    .select([
      "orders.id",
      "orders.reference",
      "orders.expediente_id",
      "orders.vehicle_id",
      "orders.factory_order_id",
      "orders.status",
      "enrolment_tokens.handed_over_at",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no order ${orderId}`));
  if (order.factory_order_id === null) throw new Error(`order ${order.reference} is not placed`);
  // A car that left the factory, or that has its package, keeps it: a new token would make the old one worthless.
  if (order.status === "completed" || order.handed_over_at !== null) return;
  const { factory_order_id: factoryOrderId, vehicle_id: vehicleId } = order;
  await askPartner(context, matterOf(order), attempt, {
    ask: async () => factory.handOverEnrolment(factoryOrderId, await enrolmentPackageFor(vehicleId)),
    record: async (tx) => {
      await tx
        .updateTable("enrolment_tokens")
        .set({ handed_over_at: context.clock.now() })
        .where("vehicle_id", "=", vehicleId)
        .execute();
    },
    refusalTask: "orderRefused",
  });
}
