import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import * as z from "zod";
import {
  callPartner,
  endpointOf,
  type PartnerAnswer,
  type PartnerOptions,
  requestOnce,
} from "./call-partner.ts";

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

/** The factory that builds the cars. Both calls throw PartnerUnavailable; news of an order come as webhooks. */
export type Factory = {
  placeOrder(order: NewFactoryOrder, attempt: number): Promise<PartnerAnswer<FactoryOrder>>;
  /** Has the package installed in the car. Repeating it changes nothing. */
  handOverEnrolment(orderId: string, enrolment: EnrolmentPackage): Promise<PartnerAnswer<unknown>>;
};

export function createFactory(options: PartnerOptions): Factory {
  const endpoint = endpointOf("factory", options);
  return {
    placeOrder: (order, attempt) => requestOnce(endpoint, "orders", order, orderSchema, attempt),
    handOverEnrolment: (orderId, enrolment) =>
      callPartner(
        endpoint,
        { method: "PUT", path: `/v1/orders/${encodeURIComponent(orderId)}/enrolment`, body: enrolment },
        z.unknown(),
      ),
  };
}
