import { businessDay } from "@caas/contract/business-day.ts";
import { type TransportWebhook, transportWebhookSchema } from "@caas/contract/webhooks.ts";
import * as z from "zod";
import { nameSchema } from "../../http/contact-fields.ts";
import { actorOf } from "../../http/principal.ts";
import { addCommand, type Routing } from "../../http/routes.ts";
import type { Sender } from "../../http/webhook-messages.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import { addWebhook } from "../../http/webhooks.ts";
import type { Context } from "../../lifecycle/context.ts";
import { pickUp } from "./pick-up.ts";
import { recordReturn } from "./record-return.ts";
import { requestTransport } from "./request-transport.ts";

const params = z.strictObject({ expedienteId: z.uuid() });

/** `POST …/transport`, `POST …/pick-up` and the carrier's webhooks. */
export function deliveryRoutes(
  context: Context,
  verify: VerifyWebhook,
  sender: Sender<TransportWebhook>,
  timeZone: string,
  routing: Routing,
): void {
  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/transport",
    tag: "delivery",
    summary: "Arrange transport",
    refuses: ["conflict", "ruleRefused"],
    description:
      "Asks the carrier for a day; driver and route are there once it has answered. While the vehicle is in transit, the same request arranges another transport in its place.",
    params,
    body: z.strictObject({
      date: z.iso.date().meta({ description: "A day of the dealership's calendar, today or later." }),
    }),
    status: 202,
    answer: z.object({ id: z.uuid(), reference: z.string(), status: z.literal("requested") }),
    async run(tx, { principal, params: { expedienteId }, body: { date } }) {
      const outcome = await requestTransport(context, tx, {
        expedienteId,
        date,
        today: businessDay(context.clock.now(), timeZone),
        staffId: principal.userId,
      });
      if (outcome.kind === "refused") return outcome;
      const { transportId: id, reference } = outcome;
      return { kind: "done", answer: { id, reference, status: "requested" as const } };
    },
  });
  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/return",
    tag: "delivery",
    summary: "Record that the vehicle is back",
    refuses: ["conflict", "ruleRefused"],
    description:
      "For a vehicle that nobody took at home, when the dealership sees it in its yard before the carrier says so. It can be picked up from then on.",
    params,
    body: z.strictObject({}),
    status: 200,
    answer: z.object({ expedienteId: z.uuid(), vehicleState: z.string() }),
    async run(tx, { principal, params: { expedienteId } }) {
      const outcome = await recordReturn(context, tx, { expedienteId, actor: actorOf(principal) });
      if (outcome.kind === "refused") return outcome;
      return { kind: "done", answer: { expedienteId, vehicleState: outcome.vehicleState } };
    },
  });
  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/pick-up",
    tag: "delivery",
    summary: "Hand the vehicle over at the dealership",
    refuses: ["conflict", "ruleRefused"],
    description: "For a vehicle that came back because nobody was at home; it must be back (rule AG9).",
    params,
    body: z.strictObject({ receivedBy: nameSchema }),
    status: 200,
    answer: z.object({ expedienteId: z.uuid(), vehicleState: z.string() }),
    async run(tx, { principal, params: { expedienteId }, body: { receivedBy } }) {
      const outcome = await pickUp(context, tx, { expedienteId, receivedBy, actor: actorOf(principal) });
      if (outcome.kind === "refused") return outcome;
      return { kind: "done", answer: { expedienteId, vehicleState: outcome.vehicleState } };
    },
  });
  addWebhook(routing, {
    url: "/webhooks/transport",
    summary: "Hear from the carrier",
    verify,
    schema: transportWebhookSchema,
    sender,
  });
}
