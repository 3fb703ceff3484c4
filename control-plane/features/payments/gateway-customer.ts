import { sql } from "kysely";
import type { Db, Reader } from "../../store/database.ts";
import { plainArray } from "../../store/plain-array.ts";
import type { PaymentWork } from "./batches.ts";

/** In the order asked for; `null`: the gateway has no customer for this one yet. */
export async function readGatewayCustomers(
  db: Reader,
  customerIds: readonly string[],
): Promise<readonly (string | null)[]> {
  const rows = await db
    .selectFrom("customers")
    .where(sql<boolean>`id = any(${plainArray(customerIds)}::uuid[])`)
    .select(["id", "gateway_customer_id"])
    .execute();
  const byId = new Map(rows.map((row) => [row.id, row.gateway_customer_id]));
  return customerIds.map((id) => byId.get(id) ?? null);
}

/**
 * Opens the gateway's own customer, who keeps the cards of ours: a card that was paid with once can be used again only
 * if it belongs to one. Until then payments are made without.
 *
 * @throws PartnerUnavailable: try again
 */
export async function openGatewayCustomer(
  { context, gateway }: Pick<PaymentWork, "context" | "gateway">,
  customerId: string,
): Promise<void> {
  const [known] = await readGatewayCustomers(context.db, [customerId]);
  if (known !== null) return;
  const { gatewayCustomerId } = await gateway.openCustomer(customerId);
  await saveGatewayCustomer(context.db, customerId, gatewayCustomerId);
}

/** The first stays: cards may belong to it already. */
async function saveGatewayCustomer(db: Db, customerId: string, gatewayCustomerId: string): Promise<void> {
  await db
    .updateTable("customers")
    .set({ gateway_customer_id: gatewayCustomerId })
    .where("id", "=", customerId)
    .where("gateway_customer_id", "is", null)
    .execute();
}
