import * as z from "zod";
import { actorOf } from "../../http/principal.ts";
import { refuse } from "../../http/refusal.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { ServicesInCars } from "../../lifecycle/desired-state.ts";
import { buyServices } from "./buy-services.ts";
import { explain } from "./explain.ts";
import { cancel } from "./give-up.ts";
import { activationSchema, readActivations } from "./read-activations.ts";

const vehicleParams = z.strictObject({ vehicleId: z.uuid() });
const activationParams = z.strictObject({ activationId: z.uuid() });

export function activationRoutes(context: Context, desiredState: ServicesInCars, routing: Routing): void {
  addCommand(routing, {
    url: "/api/vehicles/:vehicleId/activations",
    tag: "services",
    summary: "Buy a service",
    refuses: ["unknownChoice", "conflict", "ruleRefused"],
    description:
      "Selects a service and confirms its price. The maintenance check, the hold on the card and the activation in " +
      "the car follow by themselves; the card is charged only when the car has proved the service.",
    params: vehicleParams,
    body: z.strictObject({
      serviceId: z.uuid(),
      /** Whole terms of the catalogue's duration, paid at once. */
      terms: z.int().min(1).max(12).default(1),
      /** The payment gateway's id of the customer's card. */
      paymentMethod: z.string().min(1).max(100),
    }),
    answer: activationSchema,
    status: 202,
    runMany: (tx, asked) => buyServices(context, tx, asked),
  });

  addQuery(routing, {
    url: "/api/vehicles/:vehicleId/activations",
    tag: "services",
    summary: "List the activations of a vehicle",
    description: "A customer's own: an owner learns nothing of what a former owner bought and paid.",
    params: vehicleParams,
    answer: z.object({ activations: z.array(activationSchema) }),
    async run(db, { params, principal }) {
      const customerId = principal.kind === "customer" ? principal.customerId : null;
      const activations = await readActivations(db, { ...params, customerId });
      return { kind: "done", answer: { activations } };
    },
  });

  addQuery(routing, {
    url: "/api/activations/:activationId",
    tag: "services",
    summary: "Read an activation",
    refuses: ["notFound"],
    params: activationParams,
    answer: activationSchema,
    async run(db, { params }) {
      const [activation] = await readActivations(db, { ids: [params.activationId] });
      return activation === undefined
        ? refuse("notFound", "there is no such activation")
        : { kind: "done", answer: activation };
    },
  });

  addCommand(routing, {
    url: "/api/activations/:activationId/cancellation",
    tag: "services",
    summary: "Cancel an activation",
    refuses: ["conflict", "ruleRefused"],
    description:
      "Possible until the car has proved the service: the hold is released and nothing is charged. Afterwards the " +
      "answer says that it is already applied, and what became of its payment.",
    params: activationParams,
    body: z.strictObject({}),
    answer: activationSchema,
    status: 200,
    async run(tx, { params, principal }) {
      const cancelled = await cancel(context, desiredState, tx, params.activationId, actorOf(principal));
      if (cancelled.kind === "refused") return cancelled;
      const [activation] = await readActivations(tx, { ids: [params.activationId] });
      if (activation === undefined) throw new Error("an activation just cancelled is not found");
      return { kind: "done", answer: activation };
    },
  });

  addQuery(routing, {
    url: "/api/activations/:activationId/explanation",
    tag: "services",
    summary: "Explain an activation",
    refuses: ["notFound"],
    description:
      "Why it was or was not charged and activated: one sentence, and everything that happened, in order.",
    params: activationParams,
    answer: z.object({
      verdict: z.string(),
      charged: z.boolean(),
      active: z.boolean(),
      timeLine: z.array(
        z.object({
          at: z.iso.datetime(),
          what: z.string(),
          by: z.string(),
          automatic: z.boolean(),
          /** A sentence for people, where the step's name needs one. */
          inWords: z.string().nullable(),
          detail: z.record(z.string(), z.unknown()),
        }),
      ),
    }),
    async run(db, { params }) {
      const explanation = await explain(db, params.activationId);
      if (explanation === undefined) return refuse("notFound", "there is no such activation");
      return {
        kind: "done",
        answer: {
          ...explanation,
          timeLine: explanation.timeLine.map((moment) => ({ ...moment, at: moment.at.toISOString() })),
        },
      };
    },
  });

  addQuery(routing, {
    url: "/api/activations/:activationId/steps",
    tag: "services",
    summary: "Read the steps of an activation",
    description:
      "Its time-line, from the request to the car's signed proof or the reason it was not charged.",
    params: activationParams,
    answer: z.object({
      steps: z.array(
        z.object({
          id: z
            .int()
            .meta({ description: "The step's own id; later steps have greater ones.", examples: [17] }),
          at: z.iso.datetime(),
          event: z.string(),
          from: z.string().nullable(),
          to: z.string().nullable(),
          automationRow: z.string().nullable(),
          automatic: z.boolean(),
          actor: z.string(),
          detail: z.record(z.string(), z.unknown()),
        }),
      ),
    }),
    async run(db, { params }) {
      const rows = await db
        .selectFrom("steps")
        .selectAll()
        .where("activation_id", "=", params.activationId)
        .orderBy("id")
        .execute();
      return {
        kind: "done",
        answer: {
          steps: rows.map((row) => ({
            id: row.id,
            at: row.at.toISOString(),
            event: row.event,
            from: row.from_state,
            to: row.to_state,
            automationRow: row.automation_row,
            automatic: row.automatic,
            actor: row.actor_kind,
            detail: { ...row.detail },
          })),
        },
      };
    },
  });
}
