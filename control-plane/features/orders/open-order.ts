import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { expectNews } from "../../lifecycle/partner-requests.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueuePlacement } from "./jobs.ts";

/**
 * The reservation is paid, so the car is ordered automatically (AU4, DE1): the order's row with a configuration derived
 * from the plan comercial, and a job that tells the factory. A car that was built already needs no order.
 */
export async function openOrder(
  context: Context,
  tx: Transaction,
  paid: Pick<DomainEvents["reservationPaid"], "expedienteId">,
): Promise<void> {
  const sale = await tx
    .selectFrom("expedientes")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .where("expedientes.id", "=", paid.expedienteId)
    .select([
      "expedientes.reference",
      "expedientes.vehicle_id",
      "expedientes.plan_comercial",
      "vehicles.state",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${paid.expedienteId}`));
  await tx
    .updateTable("vehicles")
    .set({ reservation_paid: true })
    .where("id", "=", sale.vehicle_id)
    .execute();
  if (sale.state !== "start") return;
  const orderId = newId();
  const { base, options } = sale.plan_comercial;
  const inserted = await tx
    .insertInto("orders")
    .values({
      id: orderId,
      expediente_id: paid.expedienteId,
      vehicle_id: sale.vehicle_id,
      reference: `ORD-${sale.reference}`,
      status: "placing",
      configuration: JSON.stringify({ base: base.code, options: options.map((option) => option.code) }),
      factory_order_id: null,
      milestone: null,
      eta: null,
      vin: null,
      placed_at: null,
      created_at: context.clock.now(),
    })
    .onConflict((conflict) => conflict.column("expediente_id").doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows !== 1n) return;
  await expectNews(context, tx, { partner: "factory", id: orderId });
  await enqueuePlacement(tx, orderId);
}
