import { realClock } from "@caas/contract/business-clock.ts";
import * as z from "zod";
import { registerControl } from "../shared/control.ts";
import { createFaults } from "../shared/faults.ts";
import { createApp, plainError, refuse, registerApi, send } from "../shared/http.ts";
import { createIdempotency, partnerIdempotency } from "../shared/idempotency.ts";
import { createStepper, storedSetting } from "../shared/pace.ts";
import { type RunningPartner, runPartner, type WebhookPartnerOptions } from "../shared/partner.ts";
import { openStore } from "../shared/store.ts";
import { signAsStandardWebhook, startOutbox } from "../shared/webhooks.ts";
import { newTransportSchema, nextStepOf, openTransportBook, outcomes, steps } from "./jobs.ts";

const paceSchema = z.discriminatedUnion("mode", [
  z.strictObject({
    mode: z.literal("auto"),
    stepDelayMs: z.int().min(0).max(86_400_000).default(0),
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
  const clock = options.clock ?? realClock;
  const store = openStore(options.storePath);
  const faults = createFaults();
  const initialPace = options.pace ?? { mode: "auto", stepDelayMs: 0, outcome: "customerPresent" };
  const pace = storedSetting<TransportPace>(store, "pace", paceSchema, initialPace);
  const answerOnce = createIdempotency(store, { ...partnerIdempotency, now: () => clock.now() });
  const stepper = createStepper((id) => {
    const transport = book.get(id);
    const step = transport === undefined ? null : nextStepOf(transport);
    const current = pace.read();
    if (step !== null && current.mode === "auto") book.take(id, { step, outcome: current.outcome });
  });
  const moveOn = (id: string) => {
    const current = pace.read();
    if (current.mode === "auto" && !outbox.hasPending(id)) stepper.schedule(id, current.stepDelayMs);
  };
  const moveAllOn = () => {
    for (const transport of book.list()) if (nextStepOf(transport) !== null) moveOn(transport.transportId);
  };
  const outbox = startOutbox({
    store,
    path: "/webhooks/transport",
    webhook: options.webhook,
    sign: options.webhook === undefined ? () => ({}) : signAsStandardWebhook(options.webhook.secret),
    faults,
    logger: options.logger,
    onSettled: (message) => moveOn(message.subject),
  });
  const book = openTransportBook({ store, clock, outbox: () => outbox });

  const app = createApp({ logger: options.logger, store, errorShape: plainError });
  registerControl(app, { name: "transport", store, faults, outbox });
  registerApi(app, { apiKey: options.apiKey, faults, errorShape: plainError }, (api) => {
    api.post("/v1/transports", { schema: { body: newTransportSchema } }, (request, reply) => {
      const key = request.headers["idempotency-key"]?.toString();
      const call = { key, method: "POST", path: request.url, body: request.body };
      const answer = answerOnce(call, () => {
        const { isNew, transport } = book.schedule(request.body);
        if (isNew) moveOn(transport.transportId);
        return { status: isNew ? 201 : 200, body: transport };
      });
      return send(reply, answer);
    });

    api.get(
      "/v1/transports",
      { schema: { querystring: z.strictObject({ reference: z.string().min(1).max(100) }) } },
      (request) => ({ transports: book.findByReference(request.query.reference) }),
    );
  });

  app.get("/_control/pace", () => pace.read());
  app.put("/_control/pace", { schema: { body: paceSchema } }, (request) => {
    pace.write(request.body);
    stepper.cancelAll();
    moveAllOn();
    return pace.read();
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

  const running = await runPartner({
    name: "transport",
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
