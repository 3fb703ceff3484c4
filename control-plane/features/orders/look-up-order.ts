import type { FactoryWebhook } from "@caas/contract/webhooks.ts";
import { transact } from "../../http/run-work.ts";
import type { Context } from "../../lifecycle/context.ts";
import { lookUpMatter } from "../../lifecycle/partner-requests.ts";
import type { Factory, FactoryProgress } from "../../partners/factory.ts";
import { handleFactoryWebhook } from "./factory-webhook.ts";
import { enqueuePlacement } from "./jobs.ts";
import { hasMoved, matterOf, readOrder } from "./order-row.ts";

/**
 * Nothing was heard of an order for a while: its messages may be lost, so the factory is asked how far it is. What it
 * says is taken as its messages are.
 */
export async function lookUpOrder(context: Context, factory: Factory, orderId: string): Promise<void> {
  const order = await readOrder(context.db, orderId);
  if (order.status === "completed" || order.status === "cancelled") return;
  await lookUpMatter(context, matterOf(order), {
    look: () => factory.lookUpOrder(order.reference),
    expectedAt: order.eta,
    async take(found) {
      for (const message of found === null ? [] : newsIn(found)) {
        const [handled] = await transact(context.db, async (tx) => [
          await handleFactoryWebhook(context, tx, message),
        ]);
        if (handled?.kind === "refused")
          return { kind: "nothingNew", reason: handled.detail, isUrgent: true };
      }
      const now = await readOrder(context.db, orderId);
      if (hasMoved(order, now)) return { kind: "news" };
      if (now.status === "placing") await placeAgain(context, orderId);
      return {
        kind: "nothingNew",
        reason: found === null ? "the factory does not know it" : `the factory says ${found.status}`,
        isUrgent: found === null && now.status !== "placing",
      };
    },
  });
}

/** The job that has it placed may have used up its tries; it finds what the factory has of it. */
async function placeAgain({ db }: Context, orderId: string): Promise<void> {
  await db.transaction().execute((tx) => enqueuePlacement(tx, orderId));
}

/** Milestones of which the factory does not send progress: their messages are others. */
const ownMessages: ReadonlySet<string | undefined> = new Set([undefined, "started", "vinAssigned"]);

/** What the messages about it would have said. A status that we do not know says nothing. */
function newsIn(found: FactoryProgress): FactoryWebhook[] {
  const { orderId, reference, vin, progressPercent, milestones } = found;
  const data = { orderId, reference };
  const started = { type: "order.manufacturing_started", data } as const;
  switch (found.status) {
    case "inManufacturing": {
      const news: FactoryWebhook[] = [started];
      if (vin) news.push({ type: "order.vin_assigned", data: { ...data, vin } });
      const milestone = milestones?.at(-1)?.milestone;
      if (milestone !== undefined && !ownMessages.has(milestone) && progressPercent)
        news.push({ type: "order.progressed", data: { ...data, progressPercent, milestone, eta: null } });
      return news;
    }
    case "completed":
      return vin ? [{ type: "order.completed", data: { ...data, vin } }] : [started];
    default:
      return [];
  }
}
