import * as z from "zod";
import { showOnOneLine } from "./shown-text.ts";
import { writtenVinSchema } from "./vin.ts";

// Messages from partners, signed as Standard Webhooks; the payment gateway signs in Stripe's own scheme.

const order = { orderId: z.string().min(1).max(100), reference: z.string().min(1).max(100) };
const transport = {
  transportId: z.string().min(1).max(100),
  reference: z.string().min(1).max(100),
  vin: writtenVinSchema,
};
const event = <T extends string, D extends z.ZodRawShape>(type: T, data: D) =>
  z.strictObject({ type: z.literal(type), occurredAt: z.iso.datetime(), data: z.strictObject(data) });

export const factoryWebhookSchema = z.discriminatedUnion("type", [
  event("order.manufacturing_started", order),
  event("order.vin_assigned", { ...order, vin: writtenVinSchema }),
  event("order.progressed", {
    ...order,
    progressPercent: z.int().min(0).max(100),
    milestone: z.enum(["body", "paint", "assembly", "qualityCheck"]),
    eta: z.iso.datetime(),
  }),
  event("order.completed", { ...order, vin: writtenVinSchema }),
]);
export type FactoryWebhook = z.infer<typeof factoryWebhookSchema>;

export const transportWebhookSchema = z.discriminatedUnion("type", [
  event("transport.started", transport),
  event("transport.arrived", transport),
  event("transport.contacted", {
    ...transport,
    outcome: z.enum(["customerPresent", "customerAbsent"]),
    receivedBy: z.string().overwrite(showOnOneLine).max(200).nullable(),
  }),
  event("transport.returned", transport),
]);
export type TransportWebhook = z.infer<typeof transportWebhookSchema>;
