import { createHmac } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import * as z from "zod";
import { leaveUnanswered } from "../shared/http.ts";
import { openPartner, type RunningPartner, type WebhookPartnerOptions } from "../shared/partner.ts";
import { type SignWebhook, startOutbox } from "../shared/webhooks.ts";
import { apiVersion, openBooks } from "./books.ts";
import { registerByHand } from "./by-hand.ts";
import { openCards, turnedCard } from "./cards.ts";
import { registerConfirmationPage } from "./confirmation.ts";
import { registerDisputeControl } from "./disputes.ts";
import { keyReused, stripeError } from "./errors.ts";
import { decodeForm } from "./form.ts";
import { finishConfirmation } from "./payments.ts";
import { registerReads, registerWrites } from "./routes.ts";
import { totalByReference } from "./totals.ts";

/** Stripe forgets a key after a day; a later call with it is done again. */
const keyKeptForMs = dayMs;

const payingSchema = z.looseObject({ payment_method: z.string() });

/** `t=<unix seconds>,v1=<hex HMAC-SHA-256 of "t.body">`. https://docs.stripe.com/webhooks/signature */
export function signAsStripe(secret: string): SignWebhook {
  return (_id, sentAt, body) => {
    const seconds = Math.floor(sentAt.getTime() / 1000);
    const signature = createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex");
    return { "stripe-signature": `t=${seconds},v1=${signature}` };
  };
}

/** The payment gateway: the part of Stripe's API the platform uses (SY11). */
export async function startGateway(options: WebhookPartnerOptions): Promise<RunningPartner> {
  const partner = openPartner("gateway", options, {
    errorShape: stripeError,
    querystringParser: decodeForm,
    idempotency: {
      keptForMs: keyKeptForMs,
      onMismatch: keyReused,
      replayHeaders: { "idempotent-replayed": "true" },
    },
  });
  const { app, store, clock, faults } = partner;
  const cards = openCards(store);
  const outbox = startOutbox({
    store,
    path: "/webhooks/payments",
    webhook: options.webhook,
    sign: signAsStripe(options.webhook?.secret ?? ""),
    faults,
    logger: options.logger,
  });
  let url = "";
  const books = openBooks({ store, clock, cards, outbox, url: () => url });

  partner.serve((api) => {
    api.removeAllContentTypeParsers();
    api.addContentTypeParser(
      "application/x-www-form-urlencoded",
      { parseAs: "string" },
      (_request, body, done) => done(null, decodeForm(body.toString())),
    );
    api.addHook("onSend", async (request, reply) => {
      reply.header("request-id", request.id).header("stripe-version", apiVersion);
      const key = request.headers["idempotency-key"];
      if (key !== undefined) reply.header("idempotency-key", key);
    });
    api.addHook("preHandler", async (request, reply) => {
      const paying = payingSchema.safeParse(request.body).data?.payment_method;
      const lost = request.method === "POST" && paying !== undefined ? cards.takeLoss(paying) : null;
      if (lost === "answer") leaveUnanswered(request);
      if (lost !== "request") return;
      reply.hijack();
      return reply;
    });
    registerReads(api, books);
    registerWrites(api, books, (request, reply, work) => {
      const idempotencyKey = request.headers["idempotency-key"]?.toString() ?? null;
      return partner.answerOnce(request, reply, () => work({ requestId: request.id, idempotencyKey }));
    });
  });

  app.put(
    "/_control/cards/:paymentMethod",
    {
      schema: {
        params: z.object({ paymentMethod: z.string().regex(/^pm_\w+$/) }),
        body: turnedCard,
      },
    },
    (request) => {
      cards.turn(request.params.paymentMethod, request.body);
      return { paymentMethod: request.params.paymentMethod, ...request.body };
    },
  );
  registerConfirmationPage(app, books, (intent, outcome) =>
    store.transaction(() =>
      finishConfirmation(books, intent, outcome, { requestId: null, idempotencyKey: null }),
    ),
  );
  partner.knobs.add(() => {
    const turned = cards.listTurned();
    return turned.length === 0 ? null : { what: "cards", value: turned, reset: "/_control/cards" };
  });
  app.delete("/_control/cards", (_request, reply) => {
    cards.turnBack();
    return reply.status(204).send();
  });
  registerDisputeControl(app, books, (work) => store.transaction(work));
  registerByHand(app, books, (work) => store.transaction(work));
  app.get("/_control/charges", () => ({ totals: totalByReference(books) }));

  const running = await partner.run({ outbox });
  url = running.url;
  return running;
}
