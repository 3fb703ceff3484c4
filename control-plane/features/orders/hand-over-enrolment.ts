import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Factory } from "../../partners/factory.ts";

/** Makes the package a vehicle with a VIN is built with; each call may replace the one-time token in it. */
export type EnrolmentPackageFor = (vehicleId: string) => Promise<EnrolmentPackage>;

/** Has the factory put the car's identity into it, without which it does not leave the line. */
export async function handOverEnrolment(
  context: Context,
  factory: Factory,
  enrolmentPackageFor: EnrolmentPackageFor,
  orderId: string,
): Promise<void> {
  const order = await context.db
    .selectFrom("orders")
    .leftJoin("enrolment_tokens", "enrolment_tokens.vehicle_id", "orders.vehicle_id")
    .where("orders.id", "=", orderId)
    .select([
      "orders.reference",
      "orders.vehicle_id",
      "orders.factory_order_id",
      "orders.status",
      "enrolment_tokens.handed_over_at",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no order ${orderId}`));
  if (order.factory_order_id === null) throw new Error(`order ${order.reference} is not placed`);
  // A car that left the factory, or that has its package, keeps it: a new token would make the old one worthless.
  if (order.status === "completed" || order.handed_over_at !== null) return;
  const enrolment = await enrolmentPackageFor(order.vehicle_id);
  const answer = await factory.handOverEnrolment(order.factory_order_id, enrolment);
  if (answer.kind === "refused")
    throw new Error(`the factory refused the enrolment of ${order.reference}: ${answer.message}`);
  await context.db
    .updateTable("enrolment_tokens")
    .set({ handed_over_at: context.clock.now() })
    .where("vehicle_id", "=", order.vehicle_id)
    .execute();
}
