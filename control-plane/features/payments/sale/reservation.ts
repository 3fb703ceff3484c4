import type { Principal } from "../../../http/principal.ts";
import { type Refusal, refuse } from "../../../http/refusal.ts";
import type { Context } from "../../../lifecycle/context.ts";
import type { Transaction } from "../../../store/database.ts";
import { lockSale, openSalePayment, type Requested, refuseClosed, refuseSecond, type Sale } from "./sale.ts";

/** How the reservation is paid: by the customer's card, or as staff took it over the counter. */
export type ReservationMeans = {
  paymentMethod?: string | undefined;
  method?: "cash" | "transfer" | undefined;
  amountCents?: number | undefined;
};

/** Takes the reservation (DO4): the customer's card is charged by a job, staff's cash is recorded at once. */
export async function requestReservation(
  context: Context,
  tx: Transaction,
  principal: Principal,
  expedienteId: string,
  means: ReservationMeans,
): Promise<Requested | Refusal> {
  const sale = await lockSale(tx, expedienteId);
  const paid = sale.reservation_paid ? refuse("conflict", "the reservation is paid already") : null;
  const refusal = refuseClosed(sale) ?? paid ?? (await refuseSecond(tx, sale, "reservation"));
  if (refusal !== null) return refusal;
  const chosen =
    principal.kind === "customer" ? chooseCard(means) : chooseCash(sale, means, principal.userId);
  if ("kind" in chosen) return chosen;
  return openSalePayment(context, tx, sale, {
    kind: "reservation",
    amount_cents: sale.reservation_cents,
    ...chosen,
  });
}

function chooseCard({ paymentMethod, method, amountCents }: ReservationMeans) {
  const given = amountCents !== undefined ? "amountCents" : method !== undefined ? "method" : null;
  if (given !== null)
    return refuse("badRequest", "a customer pays the agreed reservation by card", { field: `body.${given}` });
  if (paymentMethod === undefined)
    return refuse("badRequest", "name the card to be charged", { field: "body.paymentMethod" });
  return { method: "card", payment_method: paymentMethod, recorded_by: null } as const;
}

function chooseCash(
  { reservation_cents: dueCents }: Sale,
  { paymentMethod, method, amountCents }: ReservationMeans,
  employeeId: string,
) {
  if (paymentMethod !== undefined)
    return refuse("badRequest", "staff record cash or a transfer; only the customer uses a card", {
      field: "body.paymentMethod",
    });
  if (method === undefined)
    return refuse("badRequest", "say how it was paid: cash or transfer", { field: "body.method" });
  if (amountCents !== dueCents)
    return refuse("badRequest", `the reservation is ${dueCents} cents, neither more nor less`, {
      field: "body.amountCents",
    });
  return { method, payment_method: null, recorded_by: employeeId };
}
