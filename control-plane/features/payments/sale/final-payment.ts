import { type Refusal, refuse, refuseByRule } from "../../../http/refusal.ts";
import type { Context } from "../../../lifecycle/context.ts";
import { factsOf } from "../../../lifecycle/move-vehicles.ts";
import { decide } from "../../../rules/interpreter.ts";
import { computeFinalPayment } from "../../../rules/pricing.ts";
import { vehicleMachine } from "../../../rules/vehicle-machine.ts";
import type { Transaction } from "../../../store/database.ts";
import { lockSale, openSalePayment, type Requested, refuseClosed, refuseSecond } from "./sale.ts";

/** Starts the final payment (AU7): the price less the reservation, as soon as the rules take it (DE9). */
export async function requestFinalPayment(
  context: Context,
  tx: Transaction,
  expedienteId: string,
  paymentMethod: string,
): Promise<Requested | Refusal> {
  const sale = await lockSale(tx, expedienteId);
  const closed = refuseClosed(sale);
  if (closed !== null) return closed;
  // Asked without moving anything: the car moves when the gateway says that the money is there.
  const facts = factsOf({ ...sale, final_payment: "received" });
  const decision = decide(vehicleMachine, sale.state, "finalPaymentReceived", facts);
  if (decision.kind === "refused") return refuseByRule(decision);
  const { final_payment_due_at: dueAt } = sale;
  if (dueAt !== null && context.clock.now().getTime() >= dueAt.getTime())
    return refuse("conflict", `the final payment was due until ${dueAt.toISOString()}`);
  const second = await refuseSecond(tx, sale, "final");
  if (second !== null) return second;
  const due = computeFinalPayment(sale.price_cents, sale.reservation_cents);
  if (due.kind === "refused") throw new Error(`expediente ${expedienteId}: ${due.message}`);
  return openSalePayment(context, tx, sale, {
    kind: "final",
    amount_cents: due.finalPaymentCents,
    method: "card",
    payment_method: paymentMethod,
    recorded_by: null,
  });
}
