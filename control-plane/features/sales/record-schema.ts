import * as z from "zod";
import { identityDocumentSchema } from "../../http/identity-documents.ts";
import { partnerProgress } from "../../http/partner-progress.ts";
import { paymentKinds, paymentStatuses } from "../../rules/payment-machine.ts";
import { saleStatuses } from "../../rules/statuses.ts";

// The expediente de compra as the REST interface shows it: the complete customer record of the specification's
// "Data Flow Across Operational Processes". Never a password, never a card.

const instant = z.iso.datetime();
const cents = z.int();

export const addressSchema = z.object({
  street: z.string(),
  city: z.string(),
  postalCode: z.string(),
  country: z.string(),
});

const planLineSchema = z.object({ code: z.string(), name: z.string(), priceCents: cents });

export const planComercialSchema = z.object({ base: planLineSchema, options: z.array(planLineSchema) });

export const paymentSummarySchema = z.object({
  id: z.uuid(),
  kind: z.enum(paymentKinds),
  amountCents: cents,
  currency: z.string(),
  method: z.enum(["card", "cash", "transfer"]),
  status: z.enum(paymentStatuses),
  declineReason: z.string().nullable(),
  createdAt: instant,
  settledAt: instant.nullable(),
});

export const expedienteSchema = z
  .object({
    id: z.uuid(),
    reference: z.string(),
    status: z.enum(saleStatuses),
    soldAt: instant,
    soldBy: z.object({ dealershipId: z.uuid(), dealership: z.string(), employee: z.string() }),
    customer: z.object({
      id: z.uuid(),
      kind: z.enum(["person", "company"]),
      name: z.string().meta({ description: "In full; the owner in the car's papers." }),
      givenName: z.string().nullable(),
      familyName: z.string().nullable(),
      identityDocument: identityDocumentSchema.nullable(),
      contactPerson: z.string().nullable(),
      email: z.string(),
      phone: z.string(),
      address: addressSchema,
    }),
    planComercial: planComercialSchema,
    priceCents: cents,
    reservationCents: cents,
    finalPaymentCents: cents,
    currency: z.string(),
    credentials: z.object({ username: z.string().nullable(), issuedAt: instant.nullable() }),
    vehicle: z.object({
      id: z.uuid(),
      vin: z.string().nullable(),
      state: z.string(),
      appLinkedAt: instant.nullable(),
    }),
    order: z
      .object({
        id: z.uuid(),
        reference: z.string(),
        factoryOrderId: z.string().nullable(),
        status: z.enum(["placing", "placed", "inManufacturing", "completed", "cancelled"]),
        configuration: z.object({ base: z.string(), options: z.array(z.string()) }),
        progressPercent: z.int(),
        milestone: z.string().nullable(),
        eta: instant.nullable(),
        vin: z.string().nullable(),
        placedAt: instant.nullable(),
        ...partnerProgress,
      })
      .nullable(),
    payments: z.array(paymentSummarySchema),
    /** Asked for with the final payment. */
    registration: z
      .object({
        reference: z.string(),
        status: z.enum(["requested", "recorded"]),
        requestedAt: instant,
        ...partnerProgress,
      })
      .nullable(),
    registrationDocument: z
      .object({ authorityId: z.string(), plate: z.string(), registeredOn: z.string() })
      .nullable(),
    transport: z
      .object({
        id: z.uuid(),
        reference: z.string(),
        status: z.string(),
        date: z.string(),
        driver: z.string().nullable(),
        route: z.array(z.string()).nullable(),
        ...partnerProgress,
      })
      .nullable(),
    delivery: z
      .object({
        status: z.enum(["success", "failed"]),
        at: z.string(),
        receivedBy: z.string().nullable(),
        place: z.string(),
      })
      .nullable(),
    activations: z
      .array(
        z.object({
          id: z.uuid(),
          service: z.string().meta({ description: "The service's name.", examples: ["Heated seats"] }),
          state: z.string(),
          priceCents: cents,
          durationDays: z.int(),
          createdAt: instant,
          endedAt: instant.nullable(),
        }),
      )
      .meta({ description: "The services that this customer bought for the car, oldest first." }),
  })
  .meta({ id: "Expediente" });

export type ExpedienteRecord = z.infer<typeof expedienteSchema>;

export const expedienteSummarySchema = z.object({
  id: z.uuid(),
  reference: z.string(),
  status: expedienteSchema.shape.status,
  soldAt: instant,
  customer: z.object({ name: z.string(), email: z.string() }),
  plan: z.string(),
  priceCents: cents,
  currency: z.string(),
  vehicleId: z.uuid(),
  vin: z.string().nullable(),
  vehicleState: z.string(),
});

export const stepSchema = z
  .object({
    id: z.int().meta({ description: "The step's own id; later steps have greater ones.", examples: [17] }),
    at: instant,
    actor: z.enum(["system", "staff", "customer", "partner", "vehicle"]),
    automatic: z.boolean(),
    event: z.string(),
    from: z.string().nullable(),
    to: z.string().nullable(),
    arrow: z.string().nullable(),
    /** Row of the specification's automation table; null where that table is silent. */
    automation: z.object({ row: z.string(), step: z.string() }).nullable(),
    activationId: z.uuid().nullable(),
    detail: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "Step" });

export const notificationSchema = z.object({
  id: z.uuid(),
  row: z.string(),
  event: z.string(),
  recipient: z.string(),
  channel: z.enum(["email", "sms", "push", "inApp"]),
  priority: z.string(),
  /** `overtaken`: not sent, because a later message had made it pointless. */
  status: z.enum(["queued", "accepted", "failed", "overtaken", "channelNotConfigured"]),
  subject: z.string().nullable(),
  /** As sent, with secrets masked. */
  body: z.string().nullable(),
  createdAt: instant,
  sentAt: instant.nullable(),
});
