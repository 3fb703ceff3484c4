import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import { mustDecidePayment, type PaymentEffect } from "../../rules/payment-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueueCaused } from "../../store/jobs.ts";
import { carryOut } from "./carry-out.ts";
import { chargePaymentJob } from "./jobs.ts";
import type { Payment } from "./payment-rows.ts";

const columns = [
  "kind",
  "expediente_id",
  "activation_id",
  "customer_id",
  "amount_cents",
  "currency",
  "method",
  "payment_method",
  "recorded_by",
  "payer",
] as const satisfies readonly (keyof Payment)[];

export type NewPayment = Pick<Payment, (typeof columns)[number]>;

const asksForMoney = "askForMoney" satisfies PaymentEffect;

/**
 * Payments begin, each as the machine says; the charge that one asks for is enqueued by the statement that opens it. An
 * activation that has one already gets no second.
 */
export async function openPayments(
  context: Context,
  tx: Transaction,
  heard: "requested" | "recordedByStaff" | "recordedForCheck",
  all: readonly NewPayment[],
): Promise<readonly Payment[]> {
  const at = context.clock.now();
  const begin = ({ kind }: NewPayment) =>
    mustDecidePayment({ kind, status: "start", settlement: null }, heard);
  const rows = all.map((payment) => {
    const { status } = begin(payment);
    return { ...payment, id: newId(), status, created_at: at, settled_at: status === "recorded" ? at : null };
  });
  const list = sql.join(
    ["id", "status", "created_at", "settled_at", ...columns].map((column) => sql.ref(column)),
  );
  const charges = rows.flatMap((row) =>
    begin(row).effects.includes(asksForMoney) ? [{ payload: { paymentId: row.id }, cause: row.id }] : [],
  );
  const opened = await enqueueCaused(
    tx,
    chargePaymentJob,
    sql<Payment & { cause: string }>`
      insert into payments (${list})
      select ${list} from jsonb_populate_recordset(null::payments, ${JSON.stringify(rows)}::jsonb)
      on conflict (activation_id) do nothing
      returning *, id::text as cause`,
    charges,
  );
  const changes = opened.map((payment) => {
    const effects = begin(payment).effects.filter((effect) => effect !== asksForMoney);
    return { before: payment, payment, news: { heard }, effects, at };
  });
  await carryOut(context, tx, at, changes);
  return opened;
}
