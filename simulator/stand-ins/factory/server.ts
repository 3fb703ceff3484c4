import { realClock } from "@caas/contract/business-clock.ts";
import { enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import * as z from "zod";
import { createBell } from "../shared/bell.ts";
import { registerControl } from "../shared/control.ts";
import { createFaults } from "../shared/faults.ts";
import { createApp, hangUpSignal, plainError, refuse, registerApi, send } from "../shared/http.ts";
import { createIdempotency, partnerIdempotency } from "../shared/idempotency.ts";
import { createStepper, storedSetting } from "../shared/pace.ts";
import { type RunningPartner, runPartner, type WebhookPartnerOptions } from "../shared/partner.ts";
import { openStore } from "../shared/store.ts";
import { signAsStandardWebhook, startOutbox } from "../shared/webhooks.ts";
import { milestones, nextMilestone } from "./milestones.ts";
import { newOrderSchema, openOrderBook } from "./orders.ts";

const paceSchema = z.discriminatedUnion("mode", [
  z.strictObject({ mode: z.literal("auto"), milestoneDelayMs: z.int().min(0).max(86_400_000) }),
  z.strictObject({ mode: z.literal("manual") }),
]);
export type FactoryPace = z.infer<typeof paceSchema>;

export type FactoryOptions = WebhookPartnerOptions & {
  /** How it builds until someone sets another pace; default: one milestone after the other, no wait. */
  pace?: FactoryPace;
};

const dayMs = 86_400_000;
const orderParams = z.object({ orderId: z.string().max(100) });
const longPollQuery = z.strictObject({
  timeoutMs: z.coerce.number().int().min(0).max(30_000).default(30_000),
});

/** The factory: takes orders, builds cars at its pace and tells by webhook (SY7, DO22). */
export async function startFactory(options: FactoryOptions): Promise<RunningPartner> {
  const clock = options.clock ?? realClock;
  const store = openStore(options.storePath);
  const faults = createFaults();
  const bell = createBell();
  const pace = storedSetting<FactoryPace>(
    store,
    "pace",
    paceSchema,
    options.pace ?? { mode: "auto", milestoneDelayMs: 0 },
  );
  const answerOnce = createIdempotency(store, { ...partnerIdempotency, now: () => clock.now() });
  const stepMs = () => {
    const current = pace.read();
    // A factory on manual pace announces a day for each milestone: any date will do there.
    return current.mode === "auto" ? current.milestoneDelayMs : dayMs;
  };
  const stepper = createStepper((orderId) => {
    const order = book.get(orderId);
    const due = order === undefined ? null : nextMilestone(order.milestones.length);
    // Refused only while the enrolment is missing: handing it over schedules the order again.
    if (due !== null && pace.read().mode === "auto") book.advance(orderId, due);
  });
  const moveOn = (orderId: string) => {
    const current = pace.read();
    if (current.mode === "auto" && !outbox.hasPending(orderId))
      stepper.schedule(orderId, current.milestoneDelayMs);
  };
  const moveAllOn = () => {
    for (const order of book.list()) if (order.status !== "completed") moveOn(order.orderId);
  };
  const outbox = startOutbox({
    store,
    path: "/webhooks/factory",
    webhook: options.webhook,
    sign: options.webhook === undefined ? () => ({}) : signAsStandardWebhook(options.webhook.secret),
    faults,
    logger: options.logger,
    onSettled: (message) => moveOn(message.subject),
  });
  const book = openOrderBook({ store, clock, outbox: () => outbox, stepMs });

  const app = createApp({ logger: options.logger, store, errorShape: plainError });
  registerControl(app, { name: "factory", store, faults, outbox });

  registerApi(app, { apiKey: options.apiKey, faults, errorShape: plainError }, (api) => {
    api.post("/v1/orders", { schema: { body: newOrderSchema } }, (request, reply) => {
      const key = request.headers["idempotency-key"]?.toString();
      const answer = answerOnce({ key, method: "POST", path: request.url, body: request.body }, () => {
        const { isNew, order } = book.accept(request.body);
        if (isNew) moveOn(order.orderId);
        return { status: isNew ? 201 : 200, body: order };
      });
      return send(reply, answer);
    });

    api.get(
      "/v1/orders",
      { schema: { querystring: z.strictObject({ reference: z.string().min(1).max(100) }) } },
      (request) => ({ orders: book.findByReference(request.query.reference) }),
    );

    api.put(
      "/v1/orders/:orderId/enrolment",
      { schema: { params: orderParams, body: enrolmentPackageSchema } },
      (request, reply) => {
        const { orderId } = request.params;
        const handOver = book.handOver(orderId, request.body);
        if (handOver.status === "refused") {
          const status = handOver.code === "no_such_order" ? 404 : 409;
          return send(reply, refuse(status, handOver.code, handOver.message));
        }
        moveOn(orderId);
        bell.ring();
        return send(reply, { status: 204 });
      },
    );
  });

  app.get("/_control/pace", () => pace.read());
  app.put("/_control/pace", { schema: { body: paceSchema } }, (request) => {
    pace.write(request.body);
    stepper.cancelAll();
    moveAllOn();
    return pace.read();
  });
  app.post(
    "/_control/orders/:orderId/milestones",
    { schema: { params: orderParams, body: z.strictObject({ milestone: z.enum(milestones) }) } },
    (request, reply) => {
      const advance = book.advance(request.params.orderId, request.body.milestone);
      if (advance.status === "reached") return advance.order;
      const status = advance.code === "no_such_order" ? 404 : 409;
      return send(reply, refuse(status, advance.code, advance.message));
    },
  );
  app.get(
    "/_control/orders/:orderId/enrolment",
    { schema: { params: orderParams, querystring: longPollQuery } },
    async (request, reply) => {
      const look = () => book.enrolmentOf(request.params.orderId);
      const found = await bell.waitFor(look, request.query.timeoutMs, hangUpSignal(reply));
      return found ?? send(reply, refuse(404, "no_enrolment", "no enrolment package was handed over yet"));
    },
  );
  app.get(
    "/_control/enrolments",
    { schema: { querystring: longPollQuery.extend({ vin: z.string().length(17) }) } },
    async (request, reply) => {
      const look = () => book.enrolmentsByVin(request.query.vin)[0];
      const found = await bell.waitFor(look, request.query.timeoutMs, hangUpSignal(reply));
      return found ?? send(reply, refuse(404, "no_enrolment", "no enrolment package was handed over yet"));
    },
  );

  // A long poll that nobody ends would hold the server open.
  app.addHook("preClose", async () => bell.close());
  const running = await runPartner({
    name: "factory",
    app,
    options,
    async close() {
      await outbox.close();
      stepper.cancelAll();
      store.close();
    },
  });
  moveAllOn();
  return running;
}
