import { sql } from "kysely";
import * as z from "zod";
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
      "entitlement.valid_until",
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
    validUntil: row.valid_until?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    endedAt: row.ended_at?.toISOString() ?? null,
  }));
}
