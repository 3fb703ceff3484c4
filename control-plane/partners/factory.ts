import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import * as z from "zod";
import { callPartner, type PartnerAnswer, type PartnerEndpoint } from "./call-partner.ts";

export type NewFactoryOrder = {
  /** Our own number for this order: the factory builds one car for each. */
  reference: string;
  configuration: { base: string; options: readonly string[] };
};

const orderSchema = z.object({
  orderId: z.string().min(1).max(100),
  reference: z.string(),
  status: z.string().max(50),
});

export type FactoryOrder = z.infer<typeof orderSchema>;

/** Where the cars are built. Every call throws PartnerUnavailable; what happens to an order comes as webhooks. */
export type Factory = {
  placeOrder(order: NewFactoryOrder): Promise<PartnerAnswer<FactoryOrder>>;
  /** `null`: the factory knows no order with this reference. */
  findByReference(reference: string): Promise<FactoryOrder | null>;
  /** Has the package installed in the car. Repeating it changes nothing. */
  handOverEnrolment(orderId: string, enrolment: EnrolmentPackage): Promise<PartnerAnswer<unknown>>;
};

// Nobody waits at a screen for a factory order; the factory may take its time.
const defaultTimeoutMs = 10_000;

export function createFactory(options: { baseUrl: string; apiKey: string; timeoutMs?: number }): Factory {
  const endpoint: PartnerEndpoint = {
    name: "factory",
    baseUrl: options.baseUrl,
    apiKey: options.apiKey,
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
  };
  const foundSchema = z.object({ orders: z.array(orderSchema).max(1) });
  return {
    placeOrder: (order) =>
      callPartner(
        endpoint,
        { method: "POST", path: "/v1/orders", body: order, idempotencyKey: order.reference },
        orderSchema,
      ),
    async findByReference(reference) {
      const path = `/v1/orders?reference=${encodeURIComponent(reference)}`;
      const answer = await callPartner(endpoint, { method: "GET", path }, foundSchema);
      return answer.kind === "ok" ? (answer.value.orders[0] ?? null) : null;
    },
    handOverEnrolment: (orderId, enrolment) =>
      callPartner(
        endpoint,
        { method: "PUT", path: `/v1/orders/${encodeURIComponent(orderId)}/enrolment`, body: enrolment },
        z.unknown(),
      ),
  };
}
