import type { Principal } from "../../../http/principal.ts";
import { type Refusal, refuse, refuseByRule } from "../../../http/refusal.ts";
import type { Context } from "../../../lifecycle/context.ts";
import { factsOf } from "../../../lifecycle/move-vehicles.ts";
import { decide } from "../../../rules/interpreter.ts";
import { computeFinalPayment } from "../../../rules/pricing.ts";
import { vehicleMachine } from "../../../rules/vehicle-machine.ts";
import type { Transaction } from "../../../store/database.ts";
import { chooseMeans, type Means } from "./means.ts";
import { lockSale, openSalePayment, type Requested, refuseClosed, refuseSecond, type Sale } from "./sale.ts";

/**
 * Starts the final payment (AU7): the price less the reservation, as soon as the rules take it (DE9). By the customer's
 * card, or as a bank transfer that staff record. Cash is not taken: the amount is above what the law allows.
 */
export async function requestFinalPayment(
  context: Context,
  tx: Transaction,
  request: { principal: Principal; expedienteId: string; means: Means; secondLookCents: number },
): Promise<Requested | Refusal> {
  const { principal, expedienteId, means, secondLookCents } = request;
  const sale = await lockSale(tx, expedienteId);
  const due = computeFinalPayment(sale.price_cents, sale.reservation_cents);
  if (due.kind === "refused") throw new Error(`expediente ${expedienteId}: ${due.message}`);
  const { finalPaymentCents: dueCents } = due;
  const chosen = chooseMeans(principal, { name: "final payment", dueCents, methods: ["transfer"] }, means);
  if ("kind" in chosen) return chosen;
  const early = refuseClosed(sale) ?? refuseFinalPayment(sale);
  if (early !== null) return early;
  const { final_payment_due_at: dueAt } = sale;
  if (dueAt !== null && context.clock.now().getTime() >= dueAt.getTime())
    return refuse("conflict", `the final payment was due until ${dueAt.toISOString()}`);
  const second = await refuseSecond(tx, sale, "final");
  if (second !== null) return second;
  return openSalePayment(context, tx, sale, secondLookCents, {
    kind: "final",
    amount_cents: dueCents,
    ...chosen,
  });
}

/** Asked without moving anything: the car moves when the money is there. */
export function refuseFinalPayment(sale: Sale): Refusal | null {
  const facts = factsOf({ ...sale, final_payment: "received" });
  const decision = decide(vehicleMachine, sale.state, "finalPaymentReceived", facts);
  return decision.kind === "refused" ? refuseByRule(decision) : null;
}
