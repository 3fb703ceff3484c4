import * as z from "zod";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { NotifyListener } from "../../store/notify-listener.ts";
import { listExpedientes } from "./list-expedientes.ts";
import { readExpediente } from "./read-expediente.ts";
import { readNotifications } from "./read-notifications.ts";
import { readPlans } from "./read-plans.ts";
import { readSteps } from "./read-steps.ts";
import {
  expedienteSchema,
  expedienteSummarySchema,
  notificationSchema,
  planComercialSchema,
  stepSchema,
} from "./record-schema.ts";
import { registerSale } from "./register-sale.ts";

const tag = "sales";
const text = (max: number) => z.string().trim().min(1).max(max);
const code = z.string().min(1).max(100);
const params = z.object({ expedienteId: z.uuid() });

/** The longest a caller may be kept waiting: shorter than the idle limit of common proxies. */
const maxWaitMs = 20_000;

const newSaleSchema = z.strictObject({
  customer: z.strictObject({
    name: text(200),
    email: z.email().max(320).toLowerCase(),
    phone: z.e164("must be a telephone number in E.164 form, as +34600111222"),
    address: z.strictObject({
      street: text(200),
      city: text(100),
      postalCode: text(20),
      country: z.string().regex(/^[A-Z]{2}$/, "must be a two-letter country code (ISO 3166-1), as ES"),
    }),
  }),
  planComercial: z.strictObject({ base: code, options: z.array(code).max(50) }),
});

export function salesRoutes(context: Context, feed: NotifyListener, routing: Routing): void {
  addQuery(routing, {
    url: "/api/plans",
    tag,
    summary: "List plans and options",
    answer: z.object({
      currency: z.string(),
      plans: z.array(planComercialSchema.shape.base.extend({ reservationCents: z.int() })),
      options: z.array(planComercialSchema.shape.base),
    }),
    run: async (db) => ({ kind: "done", answer: await readPlans(db) }),
  });

  addCommand(routing, {
    url: "/api/sales",
    tag,
    summary: "Register a sale",
    refuses: ["unknownChoice", "conflict"],
    description: "Prices come from the catalogue. The customer's credentials are mailed at once.",
    body: newSaleSchema,
    status: 201,
    answer: z.object({ expediente: expedienteSchema, notes: z.array(z.string()) }),
    async run(tx, { principal, body }) {
      if (principal.role !== "sales") throw new Error("the access table lets only sales staff in");
      const registered = await registerSale(context, tx, {
        customer: body.customer,
        plan: body.planComercial,
        soldBy: { userId: principal.userId, dealershipId: principal.dealershipId },
      });
      if (registered.kind === "refused") return registered;
      const expediente = await readExpediente(tx, registered.expedienteId);
      return { kind: "done", answer: { expediente, notes: [...registered.notes] } };
    },
  });

  addQuery(routing, {
    url: "/api/expedientes",
    tag,
    summary: "List expedientes",
    description: "Newest first; `next` is the `after` of the following page.",
    search: z.strictObject({
      status: expedienteSchema.shape.status.optional(),
      vehicleState: z.string().max(50).optional(),
      search: text(100).optional(),
      after: z.uuid().optional(),
      limit: z.coerce.number().int().min(1).max(100).default(50),
    }),
    answer: z.object({ expedientes: z.array(expedienteSummarySchema), next: z.uuid().nullable() }),
    run: async (db, { principal, search }) => ({
      kind: "done",
      answer: await listExpedientes(db, principal, search),
    }),
  });

  addQuery(routing, {
    url: "/api/expedientes/:expedienteId",
    tag,
    summary: "Read an expediente",
    description: "The complete customer record.",
    params,
    answer: expedienteSchema,
    run: async (db, { params: { expedienteId } }) => ({
      kind: "done",
      answer: await readExpediente(db, expedienteId),
    }),
  });

  addQuery(routing, {
    url: "/api/expedientes/:expedienteId/steps",
    tag,
    summary: "Read the steps of an expediente",
    description:
      "Oldest first, after the step `after`. Waits up to `waitMs` for the next one where there is none.",
    params,
    search: z.strictObject({
      after: z.coerce
        .number()
        .int()
        .min(0)
        .default(0)
        .meta({ description: "The id of the last step seen.", examples: [17] }),
      waitMs: z.coerce.number().int().min(0).max(maxWaitMs).default(0),
    }),
    answer: z.object({ steps: z.array(stepSchema) }),
    async run(db, { params: { expedienteId }, search, request }) {
      const steps = await readSteps(db, feed, { expedienteId, ...search, signal: request.signal });
      return { kind: "done", answer: { steps } };
    },
  });

  addQuery(routing, {
    url: "/api/expedientes/:expedienteId/notifications",
    tag,
    summary: "Read the notifications of an expediente",
    description: "Every message about this sale and this customer's services in its car; secrets are masked.",
    params,
    answer: z.object({ notifications: z.array(notificationSchema) }),
    run: async (db, { params: { expedienteId } }) => ({
      kind: "done",
      answer: { notifications: await readNotifications(db, expedienteId) },
    }),
  });
}
