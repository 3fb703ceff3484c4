import { actorOf, type Principal } from "../../http/principal.ts";
import { type Refusal, refuse } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { type Activation, readActivations } from "./read-activations.ts";
import { selectServices } from "./select-services.ts";

export type Purchase = {
  principal: Principal;
  params: { vehicleId: string };
  body: { serviceId: string; terms: number; paymentMethod: string };
};

/** Customers buy services; the answers are in the order of the purchases. */
export async function buyServices(
  context: Context,
  tx: Transaction,
  purchases: readonly Purchase[],
): Promise<({ kind: "done"; answer: Activation } | Refusal)[]> {
  const selections = purchases.map(({ principal, params, body }) =>
    principal.kind === "customer"
      ? { ...params, ...body, customerId: principal.customerId, actor: actorOf(principal) }
      : null,
  );
  const selected = await selectServices(
    context,
    tx,
    selections.filter((selection) => selection !== null),
  );
  const made = await readActivations(tx, {
    ids: selected.flatMap((one) => (one.kind === "selected" ? [one.activationId] : [])),
  });
  const byId = new Map(made.map((activation) => [activation.id, activation]));
  const answers = selected.values();
  return selections.map((selection) => {
    if (selection === null) return refuse("forbidden", "only a customer buys a service");
    const { value: answer } = answers.next();
    if (answer === undefined) throw new Error("a purchase was not answered");
    if (answer.kind === "refused") return answer;
    const activation = byId.get(answer.activationId);
    if (activation === undefined) throw new Error("an activation just made is not found");
    return { kind: "done", answer: activation };
  });
}
