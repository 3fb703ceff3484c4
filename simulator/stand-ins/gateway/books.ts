import { randomBytes } from "node:crypto";
import type { Clock } from "@caas/contract/business-clock.ts";
import type { Answer } from "../shared/http.ts";
import type { PartnerStore } from "../shared/store.ts";
import type { Outbox } from "../shared/webhooks.ts";
import type { Cards } from "./cards.ts";
import {
  chargeSchema,
  customerSchema,
  disputeSchema,
  type Intent,
  intentSchema,
  refundSchema,
} from "./objects.ts";

/** The version the `stripe` 23 SDK is pinned to; events carry it. */
export const apiVersion = "2026-10-28.endive";

export type EventType =
  | "payment_intent.succeeded"
  | "payment_intent.payment_failed"
  | "payment_intent.amount_capturable_updated"
  | "payment_intent.canceled"
  | "payment_intent.requires_action"
  | "charge.refunded"
  | "charge.refund.updated"
  | "refund.failed"
  | "charge.dispute.created"
  | "charge.dispute.funds_withdrawn"
  | "charge.dispute.closed"
  | "charge.dispute.funds_reinstated";

/** What caused an event: Stripe names it in the event. */
export type Cause = { requestId: string | null; idempotencyKey: string | null };

/** The gateway's books and what its operations share. */
export function openBooks(parts: {
  store: PartnerStore;
  clock: Clock;
  cards: Cards;
  outbox: Outbox;
  url: () => string;
}) {
  const { store, clock, cards, outbox } = parts;
  const customers = store.collection("customers", customerSchema);
  const intents = store.collection("paymentIntents", intentSchema, {
    customer: (intent) => intent.customer,
    metadata: (intent) => Object.entries(intent.metadata).map(([key, value]) => `${key}=${value}`),
  });
  const charges = store.collection("charges", chargeSchema, {
    intent: (charge) => charge.payment_intent,
  });
  const refunds = store.collection("refunds", refundSchema, {
    charge: (refund) => refund.charge,
    intent: (refund) => refund.payment_intent,
  });
  const disputes = store.collection("disputes", disputeSchema, {
    charge: (dispute) => dispute.charge,
    intent: (dispute) => dispute.payment_intent,
  });

  const books = {
    customers,
    intents,
    charges,
    refunds,
    disputes,
    cards,
    /** The bank's page for a payment. */
    confirmUrl: (id: string) => `${parts.url()}/confirm/${id}`,
    /** Unix seconds of business time. */
    nowSeconds: () => Math.floor(clock.now().getTime() / 1000),
    /** `ch_…`: as unguessable as the gateway's own. */
    newId: (prefix: string) => `${prefix}_${randomBytes(12).toString("hex")}`,

    /** Queues a webhook. Its subject is the payment, so the platform hears of one payment in order. */
    announce(type: EventType, intentId: string, object: unknown, cause: Cause): void {
      const id = books.newId("evt");
      const event = {
        id,
        object: "event",
        api_version: apiVersion,
        created: books.nowSeconds(),
        data: { object },
        livemode: false,
        pending_webhooks: 1,
        request: { id: cause.requestId, idempotency_key: cause.idempotencyKey },
        type,
      };
      outbox.enqueue({ id, subject: intentId, type, body: JSON.stringify(event) });
    },

    /** The intent as it stands now: a hold past its `capture_before` has ended by itself. */
    readIntent(id: string): Intent | undefined {
      const intent = intents.get(id);
      return intent === undefined ? undefined : endExpiredHold(intent);
    },
    settleHolds: (found: Intent[]): Intent[] => found.map(endExpiredHold),
  };

  function endExpiredHold(intent: Intent): Intent {
    if (intent.status !== "requires_capture" || intent.latest_charge === null) return intent;
    const captureBefore = charges.get(intent.latest_charge)?.payment_method_details.card.capture_before;
    const now = books.nowSeconds();
    if (captureBefore === undefined || now < captureBefore) return intent;
    const ended: Intent = {
      ...intent,
      status: "canceled",
      amount_capturable: 0,
      canceled_at: captureBefore,
      cancellation_reason: "automatic",
    };
    return store.transaction(() => {
      intents.put(ended.id, ended);
      books.announce("payment_intent.canceled", ended.id, ended, { requestId: null, idempotencyKey: null });
      return ended;
    });
  }

  return books;
}

export type Books = ReturnType<typeof openBooks>;

export type Outcome<T> = { status: "done"; object: T } | { status: "refused"; answer: Answer };

export function refused(answer: Answer): { status: "refused"; answer: Answer } {
  return { status: "refused", answer };
}
