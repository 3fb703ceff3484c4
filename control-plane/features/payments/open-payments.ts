import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import { mustDecidePayment } from "../../rules/payment-machine.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { carryOut } from "./carry-out.ts";
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

/** Payments begin, each as the machine says. An activation that has one already gets no second. */
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
  const { rows: opened } = await sql<Payment>`
    insert into payments (${list})
    select ${list} from jsonb_populate_recordset(null::payments, ${JSON.stringify(rows)}::jsonb)
    on conflict (activation_id) do nothing
    returning *`.execute(tx);
  const changes = opened.map((payment) => {
    const { effects } = begin(payment);
    return { before: payment, payment, news: { heard }, effects, at };
  });
  await carryOut(context, tx, at, changes);
  return opened;
}
