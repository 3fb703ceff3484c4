import { isPresumptionRule, presumptionRules } from "../../rules/presumption-policy.ts";
import type { Reader } from "../../store/database.ts";
import { sayInWords } from "./in-words.ts";
import { type Case, judge } from "./verdict.ts";

/** One moment of an activation's life, from any of its records. */
export type Moment = {
  at: Date;
  what: string;
  by: string;
  automatic: boolean;
  /** A sentence for people, where the step's name needs one. */
  inWords: string | null;
  detail: Record<string, unknown>;
};

export type Explanation = {
  /** One sentence for the customer. */
  verdict: string;
  charged: boolean;
  active: boolean;
  timeLine: Moment[];
};

type ReadCase = Case & { settled_at: Date | null };

async function readCase(reader: Reader, activationId: string): Promise<ReadCase | undefined> {
  const row = await reader
    .selectFrom("activations as activation")
    .innerJoin("catalog_services as service", "service.id", "activation.service_id")
    .leftJoin("payments as payment", "payment.activation_id", "activation.id")
    .leftJoin("presumptions as presumption", "presumption.payment_id", "payment.id")
    .leftJoin("entitlements as entitlement", "entitlement.id", "activation.entitlement_id")
    .where("activation.id", "=", activationId)
    .select([
      "activation.state",
      "activation.end_reason",
      "service.name",
      "payment.status",
      "payment.settled_at",
      "payment.decline_reason",
      "payment.waits_because",
      "payment.refunded_cents",
      "presumption.outcome as presumption",
      "presumption.reconcile_by",
      "entitlement.state as entitlement_state",
      "entitlement.end_reason as entitlement_end",
    ])
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const charged = row.status === "captured";
  const active = row.entitlement_state === "proved";
  const waits = isPresumptionRule(row.waits_because) ? presumptionRules[row.waits_because].refusal : null;
  return { ...row, waits, charged, active };
}

/** One sentence for the customer: whether the service is active, whether it was charged, and why. */
export async function readVerdict(reader: Reader, activationId: string): Promise<string> {
  const found = await readCase(reader, activationId);
  if (found === undefined) throw new Error(`no activation ${activationId}`);
  return judge(found);
}

/** Answers "why was I (not) charged, and is it active?" from the records: steps, attempts, payment and mails. */
export async function explain(reader: Reader, activationId: string): Promise<Explanation | undefined> {
  const found = await readCase(reader, activationId);
  if (found === undefined) return undefined;
  const { charged, active, settled_at: settledAt, status } = found;
  const timeLine = [
    ...(await readSteps(reader, activationId)),
    ...(await readAttempts(reader, activationId)),
    ...(await readMails(reader, activationId)),
    ...(settledAt === null
      ? []
      : [
          {
            at: settledAt,
            what: `payment ${status}`,
            by: "partner",
            automatic: true,
            inWords: null,
            detail: {},
          },
        ]),
  ].sort((a, b) => a.at.getTime() - b.at.getTime());
  return { verdict: judge(found), charged, active, timeLine };
}

async function readSteps(reader: Reader, activationId: string): Promise<Moment[]> {
  const rows = await reader
    .selectFrom("steps")
    .selectAll()
    .where("activation_id", "=", activationId)
    .orderBy("id")
    .execute();
  return rows.map((row) => ({
    at: row.at,
    what: row.to_state === null ? row.event : `${row.event} → ${row.to_state}`,
    by: row.actor_kind,
    automatic: row.automatic,
    inWords: sayInWords(row.event, { ...row.detail }),
    detail: { ...row.detail },
  }));
}

async function readAttempts(reader: Reader, activationId: string): Promise<Moment[]> {
  const rows = await reader
    .selectFrom("attempts")
    .selectAll()
    .where("activation_id", "=", activationId)
    .where("ended_at", "is not", null)
    .execute();
  return rows.map((row) => ({
    at: row.ended_at ?? row.started_at,
    what: `attempt ${row.attempt} ${row.result ?? "open"}`,
    by: row.report === null ? "system" : "vehicle",
    automatic: true,
    inWords: null,
    // The signed proof itself: anybody with the car's public key can verify it.
    detail: { version: row.version, reason: row.reason, signedReport: row.report },
  }));
}

async function readMails(reader: Reader, activationId: string): Promise<Moment[]> {
  const rows = await reader
    .selectFrom("notifications")
    .select(["row_id", "channel", "status", "subject", "created_at"])
    .where("activation_id", "=", activationId)
    .execute();
  return rows.map((row) => ({
    at: row.created_at,
    what: `message ${row.row_id} by ${row.channel}: ${row.status}`,
    by: "system",
    automatic: true,
    inWords: null,
    detail: { subject: row.subject },
  }));
}
