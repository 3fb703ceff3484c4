import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import type { GatewayPayment } from "../../partners/payment-gateway.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue } from "../../store/jobs.ts";
import { postManyToLedger } from "./ledger.ts";
import { chargePaymentJob, lockPayments, type Payment } from "./payment-row.ts";
import { recordOutcome } from "./record-outcome.ts";
import { activationOf } from "./service-payments.ts";

// The two outcomes that nearly every service payment has, a hold that stands and its capture, recorded together with
// those of others. Every other outcome is recorded by itself, under the same locks.

export type Outcome = { paymentId: string; outcome: GatewayPayment };

type Held = { payment: Payment; outcome: Extract<GatewayPayment, { status: "held" }> };

/** Opens the payments of services. The activations' rows are locked by the caller. */
export async function openServicePayments(
  context: Context,
  tx: Transaction,
  asked: readonly DomainEvents["servicePaymentRequested"][],
): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    insert into payments (id, kind, activation_id, customer_id, amount_cents, currency, method, payment_method, status,
                          created_at)
    select id, 'service', activation_id, customer_id, amount_cents, currency, 'card', payment_method, 'pending',
           ${context.clock.now()}
    from unnest(${asked.map(() => newId())}::uuid[], ${asked.map(({ activationId }) => activationId)}::uuid[],
                ${asked.map(({ customerId }) => customerId)}::uuid[], ${asked.map(({ amountCents }) => amountCents)}::int[],
                ${asked.map(({ currency }) => currency)}::text[],
                ${asked.map(({ paymentMethod }) => paymentMethod)}::text[])
      as next (id, activation_id, customer_id, amount_cents, currency, payment_method)
    on conflict (activation_id) do nothing
    returning id`.execute(tx);
  await enqueue(
    tx,
    chargePaymentJob,
    rows.map(({ id }) => ({ payload: { paymentId: id } })),
  );
}

export async function recordOutcomes(
  context: Context,
  tx: Transaction,
  outcomes: readonly Outcome[],
): Promise<void> {
  const payments = new Map(
    (
      await lockPayments(
        tx,
        outcomes.map(({ paymentId }) => paymentId),
      )
    ).map((payment) => [payment.id, payment]),
  );
  const held: Held[] = [];
  const captured: Payment[] = [];
  const presumed: Outcome[] = [];
  const others: Outcome[] = [];
  const seen = new Set<string>();
  for (const one of outcomes) {
    const payment = payments.get(one.paymentId);
    const { outcome } = one;
    // Said twice in one round: the second is judged by what the first has done.
    const isPlain = payment?.kind === "service" && payment.settlement !== "void" && !seen.has(one.paymentId);
    seen.add(one.paymentId);
    if (isPlain && payment.status === "pending" && outcome.status === "held") held.push({ payment, outcome });
    else if (isPlain && payment.status === "authorised" && outcome.status === "captured")
      captured.push(payment);
    else if (payment?.status === "presumed") presumed.push(one);
    else others.push(one);
  }
  // The row of all exposure comes before any car's lock.
  for (const { paymentId, outcome } of presumed) await recordOutcome(context, tx, paymentId, outcome);
  await recordHolds(context, tx, held);
  await recordCaptures(context, tx, captured);
  for (const { paymentId, outcome } of others) await recordOutcome(context, tx, paymentId, outcome);
}

async function recordHolds(context: Context, tx: Transaction, held: readonly Held[]): Promise<void> {
  if (held.length === 0) return;
  await sql`
    update payments as payment
    set status = 'authorised', gateway_payment_id = hold.gateway_payment_id, capture_before = hold.capture_before
    from unnest(${held.map(({ payment }) => payment.id)}::uuid[],
                ${held.map(({ outcome }) => outcome.gatewayPaymentId)}::text[],
                ${held.map(({ outcome }) => outcome.captureBefore)}::timestamptz[])
      as hold (id, gateway_payment_id, capture_before)
    where payment.id = hold.id`.execute(tx);
  await postManyToLedger(
    context,
    tx,
    held.map(({ payment }) => payment),
    "holdPlaced",
  );
  await context.publish(
    tx,
    "servicePaymentAuthorised",
    held.map(({ payment, outcome }) => ({
      activationId: activationOf(payment),
      paymentId: payment.id,
      captureBefore: outcome.captureBefore,
    })),
  );
}

async function recordCaptures(
  context: Context,
  tx: Transaction,
  captured: readonly Payment[],
): Promise<void> {
  if (captured.length === 0) return;
  await sql`
    update payments set status = 'captured', settled_at = ${context.clock.now()}
    where id = any(${captured.map(({ id }) => id)}::uuid[])`.execute(tx);
  await postManyToLedger(context, tx, captured, "serviceCaptured");
  const subjects = captured.map((payment) => ({
    activationId: activationOf(payment),
    paymentId: payment.id,
  }));
  await context.publish(
    tx,
    "notificationDue",
    subjects.map((subject) => ({ row: "NT5" as const, subject })),
  );
  await context.publish(tx, "servicePaymentCaptured", subjects);
}
