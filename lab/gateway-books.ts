import { existsSync } from "node:fs";
import { join } from "node:path";
import { chargeSchema, disputeSchema, intentSchema } from "@caas/simulator/stand-ins/gateway/objects.ts";
import { openStore } from "@caas/simulator/stand-ins/shared/store.ts";

/** A payment in the gateway's own store. */
export type GatewayIntent = {
  id: string;
  /** As the platform named it when it asked; `null` when it did not. */
  activationId: string | null;
  status: string;
  capturedCents: number;
  refundedCents: number;
  /** What the customer's bank has taken back and not returned. */
  disputedCents: number;
  /** Tries that failed at the card networks, refused by nobody. */
  networkErrors: number;
};

/** The gateway's code for an error of the card networks. */
export const networkError = "processing_error";

/** Where the gateway's stand-in of a platform keeps its books. */
export function gatewayStoreOf({ dataDir }: { dataDir: string }): string {
  return join(dataDir, "partners", "gateway.db");
}

/** The gateway's own books, from its own file: the platform has no hand in it. @throws Error when there are none */
export function readGatewayStore(path: string): GatewayIntent[] {
  // Opening would make an empty one.
  if (!existsSync(path)) throw new Error(`the gateway has no books at ${path}`);
  const store = openStore(path);
  try {
    const charges = store.collection("charges", chargeSchema, { intent: (charge) => charge.payment_intent });
    const disputes = store.collection("disputes", disputeSchema, {
      charge: ({ charge }) => charge,
      intent: (dispute) => dispute.payment_intent,
    });
    return store
      .collection("paymentIntents", intentSchema)
      .list()
      .map((intent) => {
        const ofIntent = charges.find("intent", intent.id);
        return {
          id: intent.id,
          activationId: intent.metadata.activation ?? null,
          status: intent.status,
          capturedCents: ofIntent.reduce((sum, charge) => sum + charge.amount_captured, 0),
          refundedCents: ofIntent.reduce((sum, charge) => sum + charge.amount_refunded, 0),
          networkErrors: ofIntent.filter(({ outcome }) => outcome.reason === networkError).length,
          disputedCents: disputes
            .find("intent", intent.id)
            .filter(({ status }) => status !== "won")
            .reduce((sum, { amount }) => sum + amount, 0),
        };
      });
  } finally {
    store.close();
  }
}
