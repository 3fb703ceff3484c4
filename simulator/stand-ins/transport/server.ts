import { dayMs } from "@caas/contract/durations.ts";
import * as z from "zod";
import { refuse, send } from "../shared/http.ts";
import { openPacedWork } from "../shared/pace.ts";
import { openPartner, type RunningPartner, type WebhookPartnerOptions } from "../shared/partner.ts";
import { signAsStandardWebhook } from "../shared/webhooks.ts";
import { newTransportSchema, nextStepOf, openTransportBook, outcomes, steps } from "./jobs.ts";

const paceSchema = z.discriminatedUnion("mode", [
  z.strictObject({
    mode: z.literal("auto"),
    stepDelayMs: z.int().min(0).max(dayMs).default(0),
    /** Whether the driver finds the customer at home. */
    outcome: z.enum(outcomes).default("customerPresent"),
  }),
  z.strictObject({ mode: z.literal("manual") }),
]);
export type TransportPace = z.infer<typeof paceSchema>;

export type TransportOptions = WebhookPartnerOptions & {
  /** How it drives until someone sets another pace; default: one step after the other, no wait, customer present. */
  pace?: TransportPace;
};

const idParams = z.object({ id: z.string().max(100) });

/** The subcontracted carrier: takes transports, drives and tells by webhook (SY12, DO9, DO22). */
export async function startTransport(options: TransportOptions): Promise<RunningPartner> {
  const partner = openPartner("transport", options);
  const { app, store, clock } = partner;
  const work = openPacedWork<TransportPace>(partner, {
    schema: paceSchema,
    initial: options.pace ?? { mode: "auto", stepDelayMs: 0, outcome: "customerPresent" },
    delayMs: (pace) => (pace.mode === "auto" ? pace.stepDelayMs : null),
    step(id, pace) {
      const transport = book.get(id);
      const step = transport === undefined ? null : nextStepOf(transport);
      if (step !== null && pace.mode === "auto") book.take(id, { step, outcome: pace.outcome });
    },
    unfinished: () =>
      book
        .list()
        .filter((transport) => nextStepOf(transport) !== null)
        .map(({ transportId }) => transportId),
    webhook: options.webhook,
    path: "/webhooks/transport",
    sign: signAsStandardWebhook,
  });
  const book = openTransportBook({ store, clock, outbox: () => work.outbox });

  partner.serve((api) => {
    api.post("/v1/transports", { schema: { body: newTransportSchema } }, (request, reply) =>
      partner.answerOnce(request, reply, () => {
        const { isNew, transport } = book.schedule(request.body);
        if (isNew) work.moveOn(transport.transportId);
        return { status: isNew ? 201 : 200, body: transport };
      }),
    );

    api.post(
      "/v1/transports/:id/cancellation",
      { schema: { params: idParams, body: z.strictObject({}) } },
      (request, reply) =>
        partner.answerOnce(request, reply, () => {
          const calledOff = book.callOff(request.params.id);
          if (calledOff.status === "calledOff") return { status: 200, body: calledOff.transport };
          const status = calledOff.code === "no_such_transport" ? 404 : 409;
          return refuse(status, calledOff.code, calledOff.message);
        }),
    );

    api.get(
      "/v1/transports",
      { schema: { querystring: z.strictObject({ reference: z.string().min(1).max(100) }) } },
      (request) => ({ transports: book.findByReference(request.query.reference) }),
    );
  });

  const stepSchema = z.strictObject({
    step: z.enum(steps),
    outcome: z.enum(outcomes).optional(),
    receivedBy: z.string().min(1).max(200).optional(),
  });
  app.post(
    "/_control/transports/:id/steps",
    { schema: { params: idParams, body: stepSchema } },
    (request, reply) => {
      const taken = book.take(request.params.id, request.body);
      if (taken.status === "done") return taken.transport;
      const status = taken.code === "no_such_transport" ? 404 : 409;
      return send(reply, refuse(status, taken.code, taken.message));
    },
  );

  const running = await partner.run({ outbox: work.outbox, closed: work.stop });
  work.moveAllOn();
  return running;
}
