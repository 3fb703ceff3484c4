import * as z from "zod";
import { cutText } from "./outside-text.ts";
import { showOnOneLine } from "./shown-text.ts";
import { writtenVinSchema } from "./vin.ts";

// Messages from partners, signed as Standard Webhooks; the payment gateway signs in Stripe's own scheme. Partners
// change their messages without asking: fields that are not used here are ignored, times may have an offset, `null`
// is as good as absent, and what only informs never makes a message unreadable.

const id = z.string().min(1).max(100);
/** Read with any offset, kept in UTC. */
const instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text).toISOString());
const absent = <S extends z.ZodType>(schema: S) =>
  schema
    .nullish()
    .transform((value) => value ?? null)
    .catch(null);

const order = { orderId: id, reference: id };
const transport = { transportId: id, reference: id, vin: writtenVinSchema };
const event = <T extends string, D extends z.ZodRawShape>(type: T, data: D) =>
  z.object({ type: z.literal(type), data: z.object(data) });

export const factoryWebhookSchema = z.discriminatedUnion("type", [
  event("order.manufacturing_started", order),
  event("order.vin_assigned", { ...order, vin: writtenVinSchema }),
  event("order.progressed", {
    ...order,
    progressPercent: z.number().min(0).max(100).transform(Math.floor),
    /** The factory's own word: body, paint, assembly, qualityCheck, or one it has invented since. */
    milestone: absent(id),
    eta: absent(instant),
  }),
  event("order.completed", { ...order, vin: writtenVinSchema }),
]);
export type FactoryWebhook = z.infer<typeof factoryWebhookSchema>;

/** As the driver wrote it down, fit to be shown. */
export const receiverSchema = absent(z.string().transform((text) => cutText(showOnOneLine(text), 200)));

export const transportWebhookSchema = z.discriminatedUnion("type", [
  event("transport.started", transport),
  event("transport.arrived", transport),
  event("transport.contacted", {
    ...transport,
    outcome: z.enum(["customerPresent", "customerAbsent"]),
    receivedBy: receiverSchema,
  }),
  event("transport.returned", transport),
]);
export type TransportWebhook = z.infer<typeof transportWebhookSchema>;
