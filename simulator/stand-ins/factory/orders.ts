import { randomUUID } from "node:crypto";
import type { Clock } from "@caas/contract/business-clock.ts";
import { type EnrolmentPackage, enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import type { PartnerStore } from "../shared/store.ts";
import type { Outbox } from "../shared/webhooks.ts";
import { assignVin } from "./assign-vin.ts";
import { type Milestone, milestones, nextMilestone, steps } from "./milestones.ts";

const code = z.string().min(1).max(100);

export const newOrderSchema = z.strictObject({
  reference: z.string().min(1).max(100),
  configuration: z.strictObject({ base: code, options: z.array(code).max(200) }),
});
export type NewOrder = z.infer<typeof newOrderSchema>;

const orderSchema = z.object({
  orderId: z.string(),
  ...newOrderSchema.shape,
  status: z.enum(["accepted", "inManufacturing", "completed"]),
  acceptedAt: z.string(),
  progressPercent: z.int(),
  vin: vinSchema.nullable(),
  milestones: z.array(z.object({ milestone: z.enum(milestones), reachedAt: z.string() })),
});
export type Order = z.infer<typeof orderSchema>;

export type Advance =
  | { status: "reached"; order: Order }
  | { status: "refused"; code: "no_such_order" | "out_of_order" | "enrolment_missing"; message: string };

export type HandOver =
  | { status: "installed" }
  | { status: "refused"; code: "no_such_order" | "vin_mismatch" | "already_completed"; message: string };

/** The factory's order book. `stepMs` is the expected time of one milestone, for the announced finish. */
export function openOrderBook(parts: {
  store: PartnerStore;
  clock: Clock;
  outbox: () => Outbox;
  stepMs: () => number;
}) {
  const { store, clock, outbox, stepMs } = parts;
  const orders = store.collection("orders", orderSchema, { reference: (order) => order.reference });
  const enrolments = store.collection(
    "enrolments",
    z.object({ orderId: z.string(), installedAt: z.string(), package: enrolmentPackageSchema }),
    { vin: (enrolment) => enrolment.package.vin },
  );

  return {
    get: (orderId: string) => orders.get(orderId),
    list: () => orders.list(),
    findByReference: (reference: string) => orders.find("reference", reference),
    enrolmentOf: (orderId: string): EnrolmentPackage | undefined => enrolments.get(orderId)?.package,
    enrolmentsByVin: (vin: string) => enrolments.find("vin", vin).map((enrolment) => enrolment.package),

    /** One order per reference (the platform's own number): the same one again is no second car. */
    accept(request: NewOrder): { isNew: boolean; order: Order } {
      const existing = orders.find("reference", request.reference)[0];
      if (existing !== undefined) return { isNew: false, order: existing };
      const order: Order = {
        orderId: `fo_${String(store.nextNumber("orders")).padStart(6, "0")}`,
        ...request,
        status: "accepted",
        acceptedAt: clock.now().toISOString(),
        progressPercent: 0,
        vin: null,
        milestones: [],
      };
      orders.put(order.orderId, order);
      return { isNew: true, order };
    },

    /** Reaches `milestone`, which must be the next one, and tells the platform. */
    advance(orderId: string, milestone: Milestone): Advance {
      return store.transaction(() => {
        const order = orders.get(orderId);
        if (order === undefined)
          return { status: "refused", code: "no_such_order", message: `there is no order ${orderId}` };
        const due = nextMilestone(order.milestones.length);
        if (milestone !== due)
          return {
            status: "refused",
            code: "out_of_order",
            message:
              due === null ? "the order is completed" : `the next milestone is ${due}, not ${milestone}`,
          };
        // The car cannot leave the factory before its identity is in it.
        if (milestone === "completed" && enrolments.get(orderId) === undefined)
          return {
            status: "refused",
            code: "enrolment_missing",
            message: "the enrolment package of this order was not handed over yet",
          };
        const now = clock.now();
        const next: Order = {
          ...order,
          status: steps[milestone].status,
          progressPercent: steps[milestone].progressPercent,
          vin: milestone === "vinAssigned" ? assignVin(store.nextNumber("vins")) : order.vin,
          milestones: [...order.milestones, { milestone, reachedAt: now.toISOString() }],
        };
        orders.put(orderId, next);
        announce(next, milestone, now);
        return { status: "reached", order: next };
      });
    },

    /** Takes the package for the car; a later one replaces it as long as the car is in the factory. */
    handOver(orderId: string, enrolment: EnrolmentPackage): HandOver {
      return store.transaction(() => {
        const order = orders.get(orderId);
        if (order === undefined)
          return { status: "refused", code: "no_such_order", message: `there is no order ${orderId}` };
        if (order.vin !== enrolment.vin)
          return {
            status: "refused",
            code: "vin_mismatch",
            message: `order ${orderId} has ${order.vin === null ? "no VIN yet" : `VIN ${order.vin}`}`,
          };
        const installed = enrolments.get(orderId)?.package;
        if (order.status === "completed" && installed?.token !== enrolment.token)
          return { status: "refused", code: "already_completed", message: "the car has left the factory" };
        enrolments.put(orderId, { orderId, installedAt: clock.now().toISOString(), package: enrolment });
        return { status: "installed" };
      });
    },
  };

  function announce(order: Order, milestone: Milestone, now: Date): void {
    const remaining = milestones.length - order.milestones.length;
    const { event, progressPercent } = steps[milestone];
    const about = { orderId: order.orderId, reference: order.reference };
    const data = {
      "order.manufacturing_started": about,
      "order.vin_assigned": { ...about, vin: order.vin },
      "order.progressed": {
        ...about,
        progressPercent,
        milestone,
        eta: new Date(now.getTime() + remaining * stepMs()).toISOString(),
      },
      "order.completed": { ...about, vin: order.vin },
    }[event];
    const body = JSON.stringify({ type: event, occurredAt: now.toISOString(), data });
    outbox().enqueue({ id: `msg_${randomUUID()}`, subject: order.orderId, type: event, body });
  }
}
