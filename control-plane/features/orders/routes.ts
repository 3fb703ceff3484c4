import { doubtVin } from "@caas/contract/vin.ts";
import { type FactoryWebhook, factoryWebhookSchema } from "@caas/contract/webhooks.ts";
import * as z from "zod";
import { describeProgress, partnerProgress } from "../../http/partner-progress.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Sender } from "../../http/webhook-messages.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import { addWebhook } from "../../http/webhooks.ts";
import type { Context } from "../../lifecycle/context.ts";
import { readProgress } from "../../lifecycle/partner-requests.ts";
import { askFactoryAgain } from "./ask-again.ts";

const instant = z.iso.datetime();

const orderSchema = z
  .object({
    id: z.uuid(),
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
    ...partnerProgress,
  })
  .meta({ id: "Order" });

export function orderRoutes(
  context: Context,
  verify: VerifyWebhook,
  sender: Sender<FactoryWebhook>,
  routing: Routing,
): void {
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
          id: row.id,
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
          ...describeProgress(await readProgress(db, row.id)),
        },
      };
    },
  });

  addCommand(routing, {
    url: "/api/orders/:orderId/retry",
    tag: "orders",
    summary: "Ask the factory again",
    refuses: ["conflict"],
    description:
      "After the factory's refusal was put right, or at once instead of at `nextTryAt`: the order is placed, or the car's identity handed over, whichever the factory has not taken yet.",
    params: z.object({ orderId: z.uuid() }),
    body: z.strictObject({}),
    status: 202,
    answer: z.object({ id: z.uuid() }),
    async run(tx, { params: { orderId } }) {
      const refusal = await askFactoryAgain(context, tx, orderId);
      return refusal ?? { kind: "done", answer: { id: orderId } };
    },
  });

  addWebhook(routing, {
    url: "/webhooks/factory",
    summary: "Hear from the factory",
    verify,
    schema: factoryWebhookSchema,
    sender,
  });
}
