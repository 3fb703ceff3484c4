import { businessDay } from "@caas/contract/business-day.ts";
import { showOnOneLine } from "@caas/contract/shown-text.ts";
import * as z from "zod";
import { addressSchema, phoneSchema } from "../../http/contact-fields.ts";
import { actorOf } from "../../http/principal.ts";
import { addCommand, addQuery, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Recipient } from "../../rules/notification-table.ts";
import type { NotifyListener } from "../../store/notify-listener.ts";
import { buyerOf, newBuyerSchema } from "./buyer-schema.ts";
import { correctBuyer } from "./correct-buyer.ts";
import { listExpedientes } from "./list-expedientes.ts";
import { readExpediente, withoutPartnersWords } from "./read-expediente.ts";
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
/** Cleaned as names are, or it would find none of them; a sign alone may be looked for. */
const searchSchema = z.string().overwrite(showOnOneLine).min(1).max(100);
const code = z.string().min(1).max(100);
const params = z.object({ expedienteId: z.uuid() });

/** The longest a caller may be kept waiting: shorter than the idle limit of common proxies. */
const maxWaitMs = 20_000;

const newSaleSchema = z.strictObject({
  customer: newBuyerSchema,
  planComercial: z.strictObject({ base: code, options: z.array(code).max(50) }),
});

const everyRecipient: readonly Recipient[] = ["customer", "support"];
const notesSchema = z.array(z.string());

export function salesRoutes(
  context: Context,
  feed: NotifyListener,
  timeZone: string,
  routing: Routing,
): void {
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
    description:
      "Prices come from the catalogue. The customer's credentials are mailed at once. A customer known by the e-mail address keeps the account; the sale has the name, telephone and address given here.",
    body: newSaleSchema,
    status: 201,
    answer: z.object({ expediente: expedienteSchema, notes: notesSchema }),
    async run(tx, { principal, body }) {
      if (principal.role !== "sales") throw new Error("the access table lets only sales staff in");
      const registered = await registerSale(context, tx, {
        email: body.customer.email,
        buyer: buyerOf(body.customer),
        plan: body.planComercial,
        soldOn: businessDay(context.clock.now(), timeZone),
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
      search: searchSchema.optional(),
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
    async run(db, { principal, params: { expedienteId } }) {
      const record = await readExpediente(db, expedienteId);
      return { kind: "done", answer: principal.role === "customer" ? withoutPartnersWords(record) : record };
    },
  });

  addCommand(routing, {
    url: "/api/expedientes/:expedienteId/contact",
    tag,
    summary: "Correct address or telephone of a sale",
    refuses: ["ruleRefused", "conflict"],
    description:
      "Until the car is handed over. Registration and delivery use them; the customer's account stays as it is. The step `buyerCorrected` keeps what was there before.",
    params,
    body: z
      .strictObject({ address: addressSchema.optional(), phone: phoneSchema.optional() })
      .refine(({ address, phone }) => address !== undefined || phone !== undefined, {
        path: ["address"],
        message: "the address, the telephone number or both are needed",
      }),
    status: 200,
    answer: z.object({ expediente: expedienteSchema, notes: notesSchema }),
    async run(tx, { principal, params: { expedienteId }, body }) {
      const corrected = await correctBuyer(context, tx, {
        expedienteId,
        ...body,
        actor: actorOf(principal),
        mayArrangeTransports: principal.role !== "support",
      });
      if (corrected.kind === "refused") return corrected;
      const { notes } = corrected;
      return { kind: "done", answer: { expediente: await readExpediente(tx, expedienteId), notes } };
    },
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
    description:
      "Every message about this sale and this customer's services in its car; secrets are masked. Customers read what " +
      "was written to them, staff also what support was told.",
    params,
    answer: z.object({ notifications: z.array(notificationSchema) }),
    async run(db, { principal, params: { expedienteId } }) {
      const recipients = principal.role === "customer" ? (["customer"] as const) : everyRecipient;
      return {
        kind: "done",
        answer: { notifications: await readNotifications(db, expedienteId, recipients) },
      };
    },
  });
}
