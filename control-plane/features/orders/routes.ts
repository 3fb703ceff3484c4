import { doubtVin } from "@caas/contract/vin.ts";
import { factoryWebhookSchema } from "@caas/contract/webhooks.ts";
import * as z from "zod";
import { addQuery, type Routing } from "../../http/routes.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import { addWebhook } from "../../http/webhooks.ts";
import type { Context } from "../../lifecycle/context.ts";
import { handleFactoryWebhook } from "./factory-webhook.ts";

const instant = z.iso.datetime();

const orderSchema = z
  .object({
    orderId: z.uuid(),
    expedienteId: z.uuid(),
    vehicleId: z.uuid(),
    reference: z.string(),
    factoryOrderId: z.string().nullable(),
    status: z.enum(["placing", "placed", "inManufacturing", "completed", "cancelled"]),
    configuration: z.object({ base: z.string(), options: z.array(z.string()) }),
    progressPercent: z.int(),
    milestone: z.string().nullable(),
    eta: instant.nullable(),
    vin: z.string().nullable(),
    vinHint: z.string().nullable().meta({
      description: "Set where the VIN may be mistyped: a North American one with a wrong check digit.",
      example: null,
    }),
    createdAt: instant,
    placedAt: instant.nullable(),
  })
  .meta({ id: "Order" });

export function orderRoutes(context: Context, verifyWebhook: VerifyWebhook, routing: Routing): void {
  addQuery(routing, {
    url: "/api/orders/:orderId",
    tag: "orders",
    summary: "Read a factory order",
    params: z.object({ orderId: z.uuid() }),
    answer: orderSchema,
    async run(db, { params }) {
      const row = await db
        .selectFrom("orders")
        .where("id", "=", params.orderId)
        .selectAll()
        .executeTakeFirstOrThrow();
      return {
        kind: "done",
        answer: {
          orderId: row.id,
          expedienteId: row.expediente_id,
          vehicleId: row.vehicle_id,
          reference: row.reference,
          factoryOrderId: row.factory_order_id,
          status: row.status,
          configuration: { base: row.configuration.base, options: [...row.configuration.options] },
          progressPercent: row.progress_percent,
          milestone: row.milestone,
          eta: row.eta?.toISOString() ?? null,
          vin: row.vin,
          vinHint: row.vin === null ? null : doubtVin(row.vin),
          createdAt: row.created_at.toISOString(),
          placedAt: row.placed_at?.toISOString() ?? null,
        },
      };
    },
  });

  addWebhook(routing, {
    url: "/webhooks/factory",
    source: "factory",
    summary: "Hear from the factory",
    verify: verifyWebhook,
    schema: factoryWebhookSchema,
    run: (tx, event) => handleFactoryWebhook(context, tx, event),
  });
}
