import type { TransportWebhook } from "@caas/contract/webhooks.ts";
import { transact } from "../../http/run-work.ts";
import type { Context } from "../../lifecycle/context.ts";
import { lookUpMatter } from "../../lifecycle/partner-requests.ts";
import type { Carrier, CarrierJourney } from "../../partners/transport.ts";
import { followJourney } from "./follow-journey.ts";
import { enqueueArrangement } from "./jobs.ts";
import { expectedAtOf, readTransport, type TransportStatus } from "./transport-row.ts";

const open: ReadonlySet<TransportStatus> = new Set([
  "requested",
  "scheduled",
  "started",
  "arrived",
  "customerAbsent",
]);

/**
 * Nothing was heard of a transport though its day has come: its messages may be lost, so the carrier is asked where it
 * is. What it says is taken as its messages are.
 */
export async function lookUpTransport(
  context: Context,
  carrier: Carrier,
  transportId: string,
): Promise<void> {
  const before = await readTransport(context.db, transportId);
  const { matter } = before;
  if (!open.has(before.status)) return;
  await lookUpMatter(context, matter, {
    look: () => carrier.lookUpTransport(matter.reference),
    expectedAt: expectedAtOf(before),
    async take(found) {
      // The job that arranges it may have used up its tries; it finds what the carrier has of it.
      if (before.status === "requested")
        await context.db.transaction().execute((tx) => enqueueArrangement(tx, transportId));
      const message = found === null ? null : newsIn(found);
      if (message !== null) {
        const [handled] = await transact(context.db, async (tx) => [
          await followJourney(context, tx, message),
        ]);
        if (handled?.kind === "refused")
          return { kind: "nothingNew", reason: handled.detail, isUrgent: true };
      }
      const { status } = await readTransport(context.db, transportId);
      if (status !== before.status) return { kind: "news" };
      const says = found === null ? "does not know it" : `says ${found.status}`;
      const isUrgent = status !== "requested" && (found === null || found.status === "calledOff");
      return { kind: "nothingNew", reason: `the carrier ${says}`, isUrgent };
    },
  });
}

/** The message that would have brought it there. A status that we do not know says nothing. */
function newsIn(found: CarrierJourney): TransportWebhook | null {
  const { transportId, reference, vin, receivedBy } = found;
  const data = { transportId, reference, vin };
  switch (found.status) {
    case "started":
      return { type: "transport.started", data };
    case "arrived":
      return { type: "transport.arrived", data };
    case "delivered":
      return {
        type: "transport.contacted",
        data: { ...data, outcome: "customerPresent", receivedBy },
      };
    case "customerAbsent":
      return { type: "transport.contacted", data: { ...data, outcome: "customerAbsent", receivedBy: null } };
    case "returned":
      return { type: "transport.returned", data };
    default:
      return null;
  }
}
