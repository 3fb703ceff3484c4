import type { Capability } from "../../http/capability.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Carrier } from "../../partners/transport.ts";
import { handleJob } from "../../store/jobs.ts";
import { arrangeTransport } from "./arrange-transport.ts";
import { arrangeTransportJob } from "./jobs.ts";
import { deliveryRoutes } from "./routes.ts";

/**
 * From the registered vehicle to the customer's hands: staff have transport arranged, the carrier reports the
 * journey, and the hand-over is written down. `verifyTransportWebhook` judges the carrier's signatures.
 */
export function createDelivery(
  context: Context,
  partners: { carrier: Carrier; verifyTransportWebhook: VerifyWebhook },
  { timeZone }: { timeZone: string },
): Capability {
  return {
    addRoutes: (routing) => deliveryRoutes(context, partners.verifyTransportWebhook, timeZone, routing),
    jobs: [
      handleJob(arrangeTransportJob, ({ transportId }, attempt) =>
        arrangeTransport(context, partners.carrier, transportId, attempt),
      ),
    ],
  };
}
