import type { Db } from "../../store/database.ts";
import type { PaymentWork } from "./batches.ts";

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
  const { gateway_customer_id: known } = await context.db
    .selectFrom("customers")
    .where("id", "=", customerId)
    .select("gateway_customer_id")
    .executeTakeFirstOrThrow();
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
