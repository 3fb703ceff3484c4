import { factoryWebhookSchema } from "@caas/contract/webhooks.ts";
import type { Capability } from "../../http/capability.ts";
import {
  type CountWebhooks,
  createSender,
  judgeMessages,
  readReferenced,
} from "../../http/webhook-messages.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { silenceTimer } from "../../lifecycle/partner-requests.ts";
import type { Factory } from "../../partners/factory.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { handleFactoryWebhook } from "./factory-webhook.ts";
import { type EnrolmentPackageFor, handOverEnrolment } from "./hand-over-enrolment.ts";
import { handOverEnrolmentJob, lookUpOrderJob, placeFactoryOrderJob } from "./jobs.ts";
import { lookUpOrder } from "./look-up-order.ts";
import { openOrder } from "./open-order.ts";
import { findSaleOfOrder } from "./order-row.ts";
import { placeOrder } from "./place-order.ts";
import { recordCustomerNotified, watchReadyNotice } from "./ready-notice.ts";
import { orderRoutes } from "./routes.ts";

export type Orders = Capability & {
  onReservationPaid: EventHandler<"reservationPaid">;
  onNotificationAccepted: EventHandler<"notificationAccepted">;
  onVehicleMoved: EventHandler<"vehicleMoved">;
};

/** Types of messages that are used; others are counted. */
const factoryTypes = new Set<string>(factoryWebhookSchema.options.map(({ shape }) => shape.type.value));

/** Factory orders from the paid reservation to the finished car. `verifyWebhook` judges the factory's signatures. */
export function createOrders(
  context: Context,
  parts: {
    factory: Factory;
    verifyWebhook: VerifyWebhook;
    count: CountWebhooks;
    enrolmentPackageFor: EnrolmentPackageFor;
  },
): Orders {
  const { factory, enrolmentPackageFor } = parts;
  const readyNotice = watchReadyNotice(context);
  const sender = createSender({
    source: "factory",
    name: "hearFactory",
    event: factoryWebhookSchema,
    read: readReferenced(factoryWebhookSchema, factoryTypes),
    count: parts.count,
  });
  return {
    addRoutes: (routing) => orderRoutes(context, parts.verifyWebhook, sender, routing),
    jobs: [
      handleJob(placeFactoryOrderJob, ({ orderId }, attempt) =>
        placeOrder(context, factory, orderId, attempt),
      ),
      handleJob(lookUpOrderJob, ({ orderId }) => lookUpOrder(context, factory, orderId)),
      handleJob(handOverEnrolmentJob, ({ orderId }, attempt) =>
        handOverEnrolment(context, factory, enrolmentPackageFor, orderId, attempt),
      ),
      judgeMessages(
        context,
        sender,
        { run: (tx, event) => handleFactoryWebhook(context, tx, event) },
        findSaleOfOrder,
      ),
    ],
    timers: [
      readyNotice.timer,
      silenceTimer(context, "factory", (tx, orderId) =>
        enqueue(tx, lookUpOrderJob, [{ payload: { orderId }, key: `lookUpOrder:${orderId}` }]),
      ),
    ],
    onVehicleMoved: readyNotice.onVehicleMoved,
    onReservationPaid: each((tx, paid) => openOrder(context, tx, paid)),
    onNotificationAccepted: each((tx, accepted) => recordCustomerNotified(context, tx, accepted)),
  };
}
