import { dayMs } from "@caas/contract/durations.ts";
import { type EnrolmentPackage, enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import type { FastifyReply } from "fastify";
import * as z from "zod";
import { createBell } from "../shared/bell.ts";
import { hangUpSignal, refuse, send } from "../shared/http.ts";
import { openPacedWork } from "../shared/pace.ts";
import { openPartner, type RunningPartner, type WebhookPartnerOptions } from "../shared/partner.ts";
import { signAsStandardWebhook } from "../shared/webhooks.ts";
import { milestones, nextMilestone } from "./milestones.ts";
import { newOrderSchema, openOrderBook } from "./orders.ts";

const paceSchema = z.discriminatedUnion("mode", [
  z.strictObject({ mode: z.literal("auto"), milestoneDelayMs: z.int().min(0).max(dayMs) }),
  z.strictObject({ mode: z.literal("manual") }),
]);
export type FactoryPace = z.infer<typeof paceSchema>;

export type FactoryOptions = WebhookPartnerOptions & {
  /** How it builds until someone sets another pace; default: one milestone after the other, no wait. */
  pace?: FactoryPace;
};

const orderParams = z.object({ orderId: z.string().max(100) });
const longPollQuery = z.strictObject({
  timeoutMs: z.coerce.number().int().min(0).max(30_000).default(30_000),
});

/** The factory: takes orders, builds cars at its pace and tells by webhook (SY7, DO22). */
export async function startFactory(options: FactoryOptions): Promise<RunningPartner> {
  const partner = openPartner("factory", options);
  const { app, store, clock } = partner;
  const bell = createBell();
  const work = openPacedWork<FactoryPace>(partner, {
    schema: paceSchema,
    initial: options.pace ?? { mode: "auto", milestoneDelayMs: 0 },
    delayMs: (pace) => (pace.mode === "auto" ? pace.milestoneDelayMs : null),
    step(orderId) {
      const order = book.get(orderId);
      const due = order === undefined ? null : nextMilestone(order.milestones.length);
      // Refused only while the enrolment is missing: handing it over moves the order on.
      if (due !== null) book.advance(orderId, due);
    },
    unfinished: () => book.list().flatMap(({ orderId, status }) => (status === "completed" ? [] : orderId)),
    webhook: options.webhook,
    path: "/webhooks/factory",
    sign: signAsStandardWebhook,
  });
  const stepMs = () => {
    const pace = work.pace();
    // A factory on manual pace announces a day for each milestone: any date will do there.
    return pace.mode === "auto" ? pace.milestoneDelayMs : dayMs;
  };
  const book = openOrderBook({ store, clock, outbox: () => work.outbox, stepMs });

  partner.serve((api) => {
    api.post("/v1/orders", { schema: { body: newOrderSchema } }, (request, reply) =>
      partner.answerOnce(request, reply, () => {
        const { isNew, order } = book.accept(request.body);
        if (isNew) work.moveOn(order.orderId);
        return { status: isNew ? 201 : 200, body: order };
      }),
    );

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
        work.moveOn(orderId);
        bell.ring();
        return send(reply, { status: 204 });
      },
    );
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
  const poll = async (
    reply: FastifyReply,
    timeoutMs: number,
    look: () => EnrolmentPackage | undefined,
  ): Promise<EnrolmentPackage | FastifyReply> => {
    const found = await bell.waitFor(look, timeoutMs, hangUpSignal(reply));
    return found ?? send(reply, refuse(404, "no_enrolment", "no enrolment package was handed over yet"));
  };
  app.get(
    "/_control/orders/:orderId/enrolment",
    { schema: { params: orderParams, querystring: longPollQuery } },
    (request, reply) => poll(reply, request.query.timeoutMs, () => book.enrolmentOf(request.params.orderId)),
  );
  app.get(
    "/_control/enrolments",
    { schema: { querystring: longPollQuery.extend({ vin: z.string().length(17) }) } },
    (request, reply) =>
      poll(reply, request.query.timeoutMs, () => book.enrolmentsByVin(request.query.vin)[0]),
  );

  // A long poll that nobody ends would hold the server open.
  app.addHook("preClose", async () => bell.close());
  const running = await partner.run({ outbox: work.outbox, closed: work.stop });
  work.moveAllOn();
  return running;
}
