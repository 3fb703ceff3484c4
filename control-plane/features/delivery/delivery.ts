import { transportWebhookSchema } from "@caas/contract/webhooks.ts";
import type { Capability } from "../../http/capability.ts";
import {
  type CountWebhooks,
  createSender,
  judgeMessages,
  readReferenced,
} from "../../http/webhook-messages.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import type { Context } from "../../lifecycle/context.ts";
import { silenceTimer } from "../../lifecycle/partner-requests.ts";
import type { Carrier } from "../../partners/transport.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { arrangeTransport } from "./arrange-transport.ts";
import { callOffTransport } from "./call-off-transport.ts";
import { findSaleOfTransport, followJourney } from "./follow-journey.ts";
import { arrangeTransportJob, callOffTransportJob, lookUpTransportJob } from "./jobs.ts";
import { lookUpTransport } from "./look-up-transport.ts";
import { deliveryRoutes } from "./routes.ts";

/** Types of messages that are used; others are counted. */
const carrierTypes = new Set<string>(transportWebhookSchema.options.map(({ shape }) => shape.type.value));

/**
 * From the registered vehicle to the customer's hands: staff have transport arranged, the carrier reports the
 * journey, and the hand-over is written down. `verifyTransportWebhook` judges the carrier's signatures.
 */
export function createDelivery(
  context: Context,
  partners: { carrier: Carrier; verifyTransportWebhook: VerifyWebhook; count: CountWebhooks },
  { timeZone }: { timeZone: string },
): Capability {
  const sender = createSender({
    source: "transport",
    name: "hearCarrier",
    event: transportWebhookSchema,
    read: readReferenced(transportWebhookSchema, carrierTypes),
    count: partners.count,
  });
  return {
    addRoutes: (routing) =>
      deliveryRoutes(context, partners.verifyTransportWebhook, sender, timeZone, routing),
    jobs: [
      handleJob(arrangeTransportJob, ({ transportId }, attempt) =>
        arrangeTransport(context, partners.carrier, transportId, attempt),
      ),
      handleJob(callOffTransportJob, ({ transportId }, attempt) =>
        callOffTransport(context, partners.carrier, transportId, attempt),
      ),
      handleJob(lookUpTransportJob, ({ transportId }) =>
        lookUpTransport(context, partners.carrier, transportId),
      ),
      judgeMessages(
        context,
        sender,
        { run: (tx, event) => followJourney(context, tx, event) },
        findSaleOfTransport,
      ),
    ],
    timers: [
      silenceTimer(context, "carrier", (tx, transportId) =>
        enqueue(tx, lookUpTransportJob, [
          { payload: { transportId }, key: `lookUpTransport:${transportId}` },
        ]),
      ),
    ],
  };
}
