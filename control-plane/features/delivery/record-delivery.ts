import type { Transaction } from "../../store/database.ts";

export type DeliveryRecord = {
  status: "success" | "failed";
  at: Date;
  /** The person who took the keys; null when nobody did. */
  receivedBy: string | null;
  place: "home" | "dealership";
};

/** Writes the hand-over, or the attempt that failed, into the expediente; a success completes it. */
export async function recordDelivery(
  tx: Transaction,
  expedienteId: string,
  delivery: DeliveryRecord,
): Promise<void> {
  await tx
    .updateTable("expedientes")
    .set({
      delivery: JSON.stringify(delivery),
      ...(delivery.status === "success" ? { status: "completed" as const } : {}),
    })
    .where("id", "=", expedienteId)
    .execute();
}

/** The facts a hand-over brings: the customer owns the vehicle and has it. */
export function handedOverTo(customerId: string) {
  return { owner_customer_id: customerId, physically_delivered: true } as const;
}
