import type { Reader } from "../../store/database.ts";

/** One moment of an activation's life, whoever wrote it down. */
export type Moment = {
  at: Date;
  what: string;
  by: string;
  automatic: boolean;
  detail: Record<string, unknown>;
};

export type Explanation = {
  /** One sentence for the customer. */
  verdict: string;
  charged: boolean;
  active: boolean;
  timeLine: Moment[];
};

const becauseOf: Readonly<Record<string, string>> = {
  ServiceDenied: "the workshops did not confirm that maintenance is current",
  PaymentFailed: "the bank refused the payment",
  NoCharge: "it was not delivered, so what the bank held was let go",
};

const underWay: Readonly<Record<string, string>> = {
  ServiceSelected: "The service was selected; its maintenance check begins.",
  MaintenanceCheck: "The workshops are being asked whether maintenance is current.",
  PaymentInitiated: "The bank is being asked to hold the price.",
  OTAQueue: "The price is held; the service waits until the car is online and free.",
  OTAAttempt: "The price is held, and the car is applying the service.",
  RetryQueue: "The car could not apply the service; it is tried again shortly.",
  TechnicalSupport: "The service could not be activated; support has been called.",
  CustomerNotified: "The service could not be activated; the hold on the price is being released.",
};

/** Answers "why was I (not) charged, and is it active?" from the records: steps, attempts, payment and mails. */
export async function explain(reader: Reader, activationId: string): Promise<Explanation | undefined> {
  const row = await reader
    .selectFrom("activations as activation")
    .innerJoin("catalog_services as service", "service.id", "activation.service_id")
    .leftJoin("payments as payment", "payment.activation_id", "activation.id")
    .leftJoin("entitlements as entitlement", "entitlement.id", "activation.entitlement_id")
    .where("activation.id", "=", activationId)
    .select([
      "activation.state",
      "activation.end_reason",
      "service.name",
      "payment.status",
      "payment.settled_at",
      "entitlement.state as entitlement_state",
      "entitlement.end_reason as entitlement_end",
    ])
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const charged = row.status === "captured";
  const active = row.entitlement_state === "proved";
  const timeLine = [
    ...(await readSteps(reader, activationId)),
    ...(await readAttempts(reader, activationId)),
    ...(await readMails(reader, activationId)),
    ...(row.settled_at === null
      ? []
      : [{ at: row.settled_at, what: `payment ${row.status}`, by: "partner", automatic: true, detail: {} }]),
  ].sort((a, b) => a.at.getTime() - b.at.getTime());
  return { verdict: judge({ ...row, charged, active }), charged, active, timeLine };
}

function judge(row: {
  name: string;
  state: string;
  end_reason: string | null;
  entitlement_end: string | null;
  charged: boolean;
  active: boolean;
}): string {
  const going = underWay[row.state];
  if (going !== undefined) return `${going} Nothing has been charged.`;
  if (row.state === "ServiceActive") {
    if (!row.charged && row.entitlement_end === "lateDecline")
      return `${row.name} was proved by the car, but the bank then refused to pay, so it was withdrawn. Nothing was charged.`;
    if (!row.charged) return `${row.name} was proved by the car; the payment is being taken.`;
    return row.active
      ? `${row.name} is active: the car proved it, and only then the price was charged.`
      : `${row.name} was active and charged; it has ended (${row.entitlement_end ?? "ended"}).`;
  }
  const because =
    row.end_reason === "customerCancelled"
      ? "it was cancelled before the car proved it"
      : becauseOf[row.state];
  return `${row.name} is not active: ${because ?? row.state}. Nothing was charged.`;
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
    detail: { subject: row.subject },
  }));
}
