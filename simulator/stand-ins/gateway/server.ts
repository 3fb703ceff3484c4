import { createHmac } from "node:crypto";
import { realClock } from "@caas/contract/business-clock.ts";
import * as z from "zod";
import { registerControl } from "../shared/control.ts";
import { createFaults } from "../shared/faults.ts";
import { createApp, registerApi } from "../shared/http.ts";
import { createIdempotency } from "../shared/idempotency.ts";
import { type RunningPartner, runPartner, type WebhookPartnerOptions } from "../shared/partner.ts";
import { openStore } from "../shared/store.ts";
import { type SignWebhook, startOutbox } from "../shared/webhooks.ts";
import { apiVersion, type Cause, openBooks } from "./books.ts";
import { cardBehaviours, openCards } from "./cards.ts";
import { registerDisputeControl } from "./disputes.ts";
import { keyReused, stripeError } from "./errors.ts";
import { decodeForm } from "./form.ts";
import { registerReads, registerWrites } from "./routes.ts";
import { totalByReference } from "./totals.ts";

/** Stripe forgets a key after a day; what comes later with it is done anew. */
const keyKeptForMs = 24 * 3600 * 1000;

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
  const clock = options.clock ?? realClock;
  const store = openStore(options.storePath);
  const faults = createFaults();
  const cards = openCards(store);
  const outbox = startOutbox({
    store,
    path: "/webhooks/payments",
    webhook: options.webhook,
    sign: signAsStripe(options.webhook?.secret ?? ""),
    faults,
    logger: options.logger,
  });
  const books = openBooks({ store, clock, cards, outbox: () => outbox });
  const answerOnce = createIdempotency(store, {
    now: () => clock.now(),
    keptForMs: keyKeptForMs,
    onMismatch: keyReused,
    replayHeaders: { "idempotent-replayed": "true" },
  });

  const app = createApp({
    logger: options.logger,
    store,
    errorShape: stripeError,
    querystringParser: decodeForm,
  });
  registerControl(app, { name: "gateway", store, faults, outbox });
  registerApi(app, { apiKey: options.apiKey, faults, errorShape: stripeError }, (api) => {
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
    registerReads(api, books);
    registerWrites(api, books, (request, work) => {
      const key = request.headers["idempotency-key"]?.toString();
      const cause: Cause = { requestId: request.id, idempotencyKey: key ?? null };
      const call = { key, method: request.method, path: request.url, body: request.body };
      return answerOnce(call, () => work(cause));
    });
  });

  app.put(
    "/_control/cards/:paymentMethod",
    {
      schema: {
        params: z.object({ paymentMethod: z.string().regex(/^pm_\w+$/) }),
        body: z.strictObject({ behaviour: z.enum(cardBehaviours) }),
      },
    },
    (request) => {
      cards.turn(request.params.paymentMethod, request.body.behaviour);
      return { paymentMethod: request.params.paymentMethod, behaviour: request.body.behaviour };
    },
  );
  registerDisputeControl(app, books, (work) => store.transaction(work));
  app.get("/_control/charges", () => ({ totals: totalByReference(books) }));

  return runPartner({
    name: "gateway",
    app,
    options,
    async close() {
      await outbox.close();
      store.close();
    },
  });
}
