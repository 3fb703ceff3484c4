import { sql } from "kysely";
import * as z from "zod";
import { describeEnding } from "../../rules/service-endings.ts";
import type { EntitlementState } from "../../rules/statuses.ts";
import type { Reader } from "../../store/database.ts";
import { plainArray } from "../../store/plain-array.ts";

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

const endedSchema = z.object({
  at: z.iso.datetime(),
  reason: z.string().meta({ description: "A code of the reason.", example: "refunded" }),
  inWords: z.string().meta({
    description: "The reason as a sentence.",
    example: "The whole price was given back, so the service was switched off.",
  }),
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
    ended: endedSchema.nullable(),
    createdAt: z.iso.datetime(),
    endedAt: z.iso.datetime().nullable().meta({
      description:
        "As `ended.at`: when it ended for the customer; null while it is on its way or its service runs.",
    }),
  })
  .meta({ id: "Activation" });

export type Activation = z.infer<typeof activationSchema>;

export async function readActivations(
  reader: Reader,
  /** `customerId`: whose purchases; `null`: everybody's. */
  which: { ids: readonly string[] } | { vehicleId: string; customerId: string | null },
): Promise<Activation[]> {
  const rows = await reader
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
      "payment.decline_reason as payment_decline",
      "entitlement.valid_until",
      "entitlement.state as entitlement_state",
      "entitlement.end_reason as entitlement_end",
      "entitlement.withdrawn_at",
      "entitlement.ended_at as entitlement_ended_at",
    ])
    .where(
      "ids" in which
        ? sql<boolean>`activation.id = any(${plainArray(which.ids)}::uuid[])`
        : sql<boolean>`activation.vehicle_id = ${which.vehicleId}
            and (${which.customerId}::uuid is null or activation.customer_id = ${which.customerId}::uuid)`,
    )
    .execute();
  const tried = rows.filter((row) => row.attempts_used > 0).map((row) => row.id);
  const attempts =
    tried.length === 0
      ? []
      : await reader
          .selectFrom("attempts")
          .selectAll()
          .where("activation_id", "in", tried)
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
    ...describeTerm(row),
    createdAt: row.created_at.toISOString(),
  }));
}

/** The term, and the end of it. */
function describeTerm(row: {
  state: string;
  ended_at: Date | null;
  end_reason: string | null;
  valid_until: Date | null;
  payment_status: string | null;
  payment_decline: string | null;
  entitlement_state: EntitlementState | null;
  entitlement_end: string | null;
  withdrawn_at: Date | null;
  entitlement_ended_at: Date | null;
}): Pick<Activation, "validUntil" | "ended" | "endedAt"> {
  const entitlement =
    row.entitlement_state === null
      ? null
      : {
          state: row.entitlement_state,
          endReason: row.entitlement_end,
          withdrawnAt: row.withdrawn_at,
          endedAt: row.entitlement_ended_at,
          validUntil: row.valid_until,
        };
  const payment =
    row.payment_status === null ? null : { status: row.payment_status, declineReason: row.payment_decline };
  const { state, ended_at: endedAt, end_reason: endReason } = row;
  const ending = describeEnding({ state, endedAt, endReason, payment, entitlement });
  const hasTerm = ending === null || ending.reason === "termEnded";
  return {
    validUntil: hasTerm ? (row.valid_until?.toISOString() ?? null) : null,
    ended: ending === null ? null : { ...ending, at: ending.at.toISOString() },
    endedAt: ending?.at.toISOString() ?? null,
  };
}
