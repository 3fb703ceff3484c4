import { transportWebhookSchema } from "@caas/contract/webhooks.ts";
import * as z from "zod";
import { actorOf } from "../../http/principal.ts";
import { addCommand, type Routing } from "../../http/routes.ts";
import type { VerifyWebhook } from "../../http/webhook-signatures.ts";
import { addWebhook } from "../../http/webhooks.ts";
import type { Context } from "../../lifecycle/context.ts";
import { followJourney } from "./follow-journey.ts";
import { pickUp } from "./pick-up.ts";
import { requestTransport } from "./request-transport.ts";

const params = z.strictObject({ expedienteId: z.uuid() });

/** `POST …/transport`, `POST …/pick-up` and the carrier's webhooks. */
export function deliveryRoutes(context: Context, verify: VerifyWebhook, routing: Routing): void {
  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/transport",
    tag: "delivery",
    summary: "Arrange transport",
    refuses: ["conflict", "ruleRefused"],
    description:
      "Asks the carrier for a day; driver and route are there once it has answered. While the vehicle is in transit, the same request arranges another transport in its place.",
    params,
    body: z.strictObject({ date: z.iso.date() }),
    status: 202,
    answer: z.object({ transportId: z.uuid(), reference: z.string(), status: z.literal("requested") }),
    async run(tx, { principal, params: { expedienteId }, body: { date } }) {
      const outcome = await requestTransport(context, tx, { expedienteId, date, staffId: principal.userId });
      if (outcome.kind === "refused") return outcome;
      const { transportId, reference } = outcome;
      return { kind: "done", answer: { transportId, reference, status: "requested" as const } };
    },
  });
  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/pick-up",
    tag: "delivery",
    summary: "Hand the vehicle over at the dealership",
    refuses: ["conflict", "ruleRefused"],
    description: "For a vehicle that came back because nobody was at home.",
    params,
    body: z.strictObject({ receivedBy: z.string().trim().min(1).max(200) }),
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
    source: "transport",
    summary: "Hear from the carrier",
    verify,
    schema: transportWebhookSchema,
    run: (tx, event) => followJourney(context, tx, event),
  });
}
