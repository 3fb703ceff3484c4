import type { Capability } from "../../http/capability.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import type { Factory } from "../../partners/factory.ts";
import { handleJob } from "../../store/jobs.ts";
import { type EnrolmentPackageFor, handOverEnrolment } from "./hand-over-enrolment.ts";
import { handOverEnrolmentJob, placeFactoryOrderJob } from "./jobs.ts";
import { openOrder } from "./open-order.ts";
import { placeOrder } from "./place-order.ts";
import { recordCustomerNotified, watchReadyNotice } from "./ready-notice.ts";
import { orderRoutes } from "./routes.ts";

export type Orders = Capability & {
  onReservationPaid: EventHandler<"reservationPaid">;
  onNotificationAccepted: EventHandler<"notificationAccepted">;
  onVehicleMoved: EventHandler<"vehicleMoved">;
};

/** Factory orders from the paid reservation to the finished car. `verifyWebhook` judges the factory's signatures. */
export function createOrders(
  context: Context,
  parts: { factory: Factory; verifyWebhook: VerifyWebhook; enrolmentPackageFor: EnrolmentPackageFor },
): Orders {
  const { factory, enrolmentPackageFor } = parts;
  const readyNotice = watchReadyNotice(context);
  return {
    addRoutes: (routing) => orderRoutes(context, parts.verifyWebhook, routing),
    jobs: [
      handleJob(placeFactoryOrderJob, ({ orderId }, attempt) =>
        placeOrder(context, factory, orderId, attempt),
      ),
      handleJob(handOverEnrolmentJob, ({ orderId }) =>
        handOverEnrolment(context, factory, enrolmentPackageFor, orderId),
      ),
    ],
    timers: [readyNotice.timer],
    onVehicleMoved: readyNotice.onVehicleMoved,
    onReservationPaid: each((tx, paid) => openOrder(context, tx, paid)),
    onNotificationAccepted: each((tx, accepted) => recordCustomerNotified(context, tx, accepted)),
  };
}
