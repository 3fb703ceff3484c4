import type { Principal } from "../../../http/principal.ts";
import { type Refusal, refuse } from "../../../http/refusal.ts";

/** How a customer or staff say that a sale's payment is made: by the customer's card, or as staff took it. */
export type Means = {
  paymentMethod?: string | undefined;
  method?: "cash" | "transfer" | undefined;
  amountCents?: number | undefined;
  payer?: string | undefined;
};

type Due = {
  /** As it is called in errors. */
  name: string;
  dueCents: number;
  /** What staff may record. */
  methods: readonly ("cash" | "transfer")[];
};

export type Chosen = {
  method: "card" | "cash" | "transfer";
  payment_method: string | null;
  recorded_by: string | null;
  payer: string | null;
};

export function chooseMeans(principal: Principal, due: Due, means: Means): Chosen | Refusal {
  return principal.kind === "customer"
    ? chooseCard(due, means)
    : chooseRecorded(due, means, principal.userId);
}

function chooseCard({ name }: Due, { paymentMethod, ...rest }: Means): Chosen | Refusal {
  for (const field of ["amountCents", "method", "payer"] as const)
    if (rest[field] !== undefined)
      return refuse("badRequest", `a customer pays the ${name} by card`, { field: `body.${field}` });
  if (paymentMethod === undefined)
    return refuse("badRequest", "name the card to be charged", { field: "body.paymentMethod" });
  return { method: "card", payment_method: paymentMethod, recorded_by: null, payer: null };
}

function chooseRecorded(
  { name, dueCents, methods }: Due,
  { paymentMethod, method, amountCents, payer }: Means,
  employeeId: string,
): Chosen | Refusal {
  const ways = methods.join(" or ");
  if (paymentMethod !== undefined)
    return refuse("badRequest", `staff record ${ways}; only the customer uses a card`, {
      field: "body.paymentMethod",
    });
  if (method === undefined)
    return refuse("badRequest", `say how the ${name} was paid: ${ways}`, { field: "body.method" });
  if (!methods.includes(method))
    return refuse("badRequest", `the ${name} is not taken in ${method}: record a ${ways}`, {
      field: "body.method",
    });
  if (amountCents !== dueCents)
    return refuse("badRequest", `the ${name} is ${dueCents} cents, neither more nor less`, {
      field: "body.amountCents",
    });
  return { method, payment_method: null, recorded_by: employeeId, payer: payer ?? null };
}
