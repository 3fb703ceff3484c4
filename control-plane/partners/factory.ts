import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import { writtenVinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import {
  callPartner,
  endpointOf,
  lookUp,
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

/** How far the factory has come with an order. */
const progressSchema = orderSchema.extend({
  progressPercent: z.number().min(0).max(100).transform(Math.floor).nullish(),
  /** Those that it has reached, oldest first. */
  milestones: z.array(z.object({ milestone: z.string().max(100) })).nullish(),
  vin: writtenVinSchema.nullish(),
});

export type FactoryProgress = z.infer<typeof progressSchema>;

/**
 * The factory that builds the cars. Its calls throw PartnerUnavailable; news of an order come as webhooks, and can be
 * looked up where those are lost.
 */
export type Factory = {
  placeOrder(order: NewFactoryOrder, attempt: number): Promise<PartnerAnswer<FactoryOrder>>;
  /** `null`: it knows no order with our reference. */
  lookUpOrder(reference: string): Promise<PartnerAnswer<FactoryProgress | null>>;
  /** Has the package installed in the car. Repeating it changes nothing. */
  handOverEnrolment(orderId: string, enrolment: EnrolmentPackage): Promise<PartnerAnswer<unknown>>;
};

export function createFactory(options: PartnerOptions): Factory {
  const endpoint = endpointOf("factory", options);
  return {
    placeOrder: (order, attempt) => requestOnce(endpoint, "orders", order, orderSchema, attempt),
    lookUpOrder: (reference) => lookUp(endpoint, "orders", reference, progressSchema),
    handOverEnrolment: (orderId, enrolment) =>
      callPartner(
        endpoint,
        { method: "PUT", path: `/v1/orders/${encodeURIComponent(orderId)}/enrolment`, body: enrolment },
        z.unknown(),
      ),
  };
}
