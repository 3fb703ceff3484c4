import type { Transaction } from "../../store/database.ts";

export type DeliveryRecord = {
  status: "success" | "failed";
  at: Date;
  /** Who took the keys; null when nobody did. */
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

/** What a hand-over makes true of the vehicle: the customer owns it and has it. */
export function handedOverTo(customerId: string) {
  return { owner_customer_id: customerId, physically_delivered: true } as const;
}
