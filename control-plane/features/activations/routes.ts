import { sql } from "kysely";
import * as z from "zod";
import { actorOf, type Principal } from "../../http/principal.ts";
import { type Refusal, refuse } from "../../http/refusal.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Reader, Transaction } from "../../store/database.ts";
import { explain } from "./explain.ts";
import { selectServices } from "./select-service.ts";

const attemptSchema = z.object({
  attempt: z.int(),
  version: z.int(),
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
  result: z.enum(["applied", "failed", "superseded"]).nullable(),
  reason: z.string().nullable(),
  /** Whether the car's signed report is kept as proof. */
  proved: z.boolean(),
});

export const activationSchema = z
  .object({
    id: z.uuid(),
    vehicleId: z.uuid(),
    service: z.object({ id: z.uuid(), code: z.string(), name: z.string() }),
    state: z.string(),
    priceCents: z.int(),
    currency: z.string(),
    durationDays: z.int(),
    maintenance: z.string().nullable(),
    payment: z.object({ id: z.uuid(), status: z.string() }).nullable(),
    attempts: z.array(attemptSchema),
    attemptsAllowed: z.int(),
    endReason: z.string().nullable(),
    validUntil: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: "Activation" });

type Activation = z.infer<typeof activationSchema>;

async function readActivations(
  reader: Reader,
  which: { id: string } | { ids: readonly string[] } | { vehicleId: string },
): Promise<Activation[]> {
  let query = reader
    .selectFrom("activations as activation")
    .innerJoin("catalog_services as service", "service.id", "activation.service_id")
    .leftJoin("payments as payment", "payment.activation_id", "activation.id")
    .leftJoin("entitlements as entitlement", "entitlement.id", "activation.entitlement_id")
    .orderBy("activation.created_at", "desc")
    .limit(200)
    .selectAll("activation")
    .select([
      "service.code as service_code",
      "service.name as service_name",
      "payment.id as payment_id",
      "payment.status as payment_status",
      "entitlement.valid_until",
    ]);
  query =
    "id" in which
      ? query.where("activation.id", "=", which.id)
      : "ids" in which
        ? query.where(sql<boolean>`activation.id = any(${[...which.ids]}::uuid[])`)
        : query.where("activation.vehicle_id", "=", which.vehicleId);
  const rows = await query.execute();
  if (rows.length === 0) return [];
  const attempts = await reader
    .selectFrom("attempts")
    .selectAll()
    .where(
      "activation_id",
      "in",
      rows.map((row) => row.id),
    )
    .orderBy("attempt")
    .execute();
  return rows.map((row) => ({
    id: row.id,
    vehicleId: row.vehicle_id,
    service: { id: row.service_id, code: row.service_code, name: row.service_name },
    state: row.state,
    priceCents: row.price_cents,
    currency: row.currency,
    durationDays: row.duration_days,
    maintenance: row.maintenance_status,
    payment:
      row.payment_id === null || row.payment_status === null
        ? null
        : { id: row.payment_id, status: row.payment_status },
    attempts: attempts
      .filter((attempt) => attempt.activation_id === row.id)
      .map((attempt) => ({
        attempt: attempt.attempt,
        version: attempt.version,
        startedAt: attempt.started_at.toISOString(),
        endedAt: attempt.ended_at?.toISOString() ?? null,
        result: attempt.result,
        reason: attempt.reason,
        proved: attempt.report !== null,
      })),
    attemptsAllowed: row.attempts_allowed,
    endReason: row.end_reason,
    validUntil: row.valid_until?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
  }));
}

const vehicleParams = z.strictObject({ vehicleId: z.uuid() });
const activationParams = z.strictObject({ activationId: z.uuid() });

type Cancel = (
  tx: Transaction,
  activationId: string,
  actor: Actor,
) => Promise<{ kind: "cancelled" } | Refusal>;

export function activationRoutes(context: Context, cancel: Cancel, routing: Routing): void {
  addCommand(routing, {
    url: "/api/vehicles/:vehicleId/activations",
    tag: "services",
    summary: "Buy a service",
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
    params: vehicleParams,
    answer: z.object({ activations: z.array(activationSchema) }),
    async run(db, { params }) {
      return { kind: "done", answer: { activations: await readActivations(db, params) } };
    },
  });

  addQuery(routing, {
    url: "/api/activations/:activationId",
    tag: "services",
    summary: "Read an activation",
    params: activationParams,
    answer: activationSchema,
    async run(db, { params }) {
      const [activation] = await readActivations(db, { id: params.activationId });
      return activation === undefined
        ? refuse("notFound", "there is no such activation")
        : { kind: "done", answer: activation };
    },
  });

  addCommand(routing, {
    url: "/api/activations/:activationId/cancellation",
    tag: "services",
    summary: "Cancel an activation",
    description:
      "Possible until the car has proved the service: the hold is released and nothing is charged. Afterwards the " +
      "answer says that it is already applied.",
    params: activationParams,
    body: z.strictObject({}),
    answer: activationSchema,
    status: 200,
    async run(tx, { params, principal }) {
      const cancelled = await cancel(tx, params.activationId, actorOf(principal));
      if (cancelled.kind === "refused") return cancelled;
      const [activation] = await readActivations(tx, { id: params.activationId });
      if (activation === undefined) throw new Error("an activation just cancelled is not found");
      return { kind: "done", answer: activation };
    },
  });

  addQuery(routing, {
    url: "/api/activations/:activationId/explanation",
    tag: "services",
    summary: "Explain an activation",
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
          id: z.int(),
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

type Purchase = {
  principal: Principal;
  params: { vehicleId: string };
  body: { serviceId: string; terms: number; paymentMethod: string };
};

async function buyServices(
  context: Context,
  tx: Transaction,
  purchases: readonly Purchase[],
): Promise<({ kind: "done"; answer: Activation } | Refusal)[]> {
  const selections = purchases.map(({ principal, params, body }) =>
    principal.kind === "customer"
      ? { ...params, ...body, customerId: principal.customerId, actor: actorOf(principal) }
      : null,
  );
  const selected = await selectServices(
    context,
    tx,
    selections.filter((selection) => selection !== null),
  );
  const made = await readActivations(tx, {
    ids: selected.flatMap((one) => (one.kind === "selected" ? [one.activationId] : [])),
  });
  const byId = new Map(made.map((activation) => [activation.id, activation]));
  const answers = selected.values();
  return selections.map((selection) => {
    if (selection === null) return refuse("forbidden", "only a customer buys a service");
    const { value: answer } = answers.next();
    if (answer === undefined) throw new Error("a purchase was not answered");
    if (answer.kind === "refused") return answer;
    const activation = byId.get(answer.activationId);
    if (activation === undefined) throw new Error("an activation just made is not found");
    return { kind: "done", answer: activation };
  });
}
