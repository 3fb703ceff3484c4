import type { Principal } from "../../../http/principal.ts";
import { type Refusal, refuse } from "../../../http/refusal.ts";
import type { Context } from "../../../lifecycle/context.ts";
import type { Transaction } from "../../../store/database.ts";
import { chooseMeans, type Means } from "./means.ts";
import { lockSale, openSalePayment, type Requested, refuseClosed, refuseSecond } from "./sale.ts";

/** Takes the reservation (DO4): the customer's card is charged by a job, staff's cash is recorded at once. */
export async function requestReservation(
  context: Context,
  tx: Transaction,
  request: { principal: Principal; expedienteId: string; means: Means; secondLookCents: number },
): Promise<Requested | Refusal> {
  const { principal, expedienteId, means, secondLookCents } = request;
  const sale = await lockSale(tx, expedienteId);
  const paid = sale.reservation_paid ? refuse("conflict", "the reservation is paid already") : null;
  const refusal = refuseClosed(sale) ?? paid ?? (await refuseSecond(tx, sale, "reservation"));
  if (refusal !== null) return refusal;
  const due = {
    name: "reservation",
    dueCents: sale.reservation_cents,
    methods: ["cash", "transfer"] as const,
  };
  const chosen = chooseMeans(principal, due, means);
  if ("kind" in chosen) return chosen;
  return openSalePayment(context, tx, sale, secondLookCents, {
    kind: "reservation",
    amount_cents: sale.reservation_cents,
    ...chosen,
  });
}
