import type * as z from "zod";
import type { Recipient } from "../../rules/notification-table.ts";
import type { Db } from "../../store/database.ts";
import type { notificationSchema } from "./record-schema.ts";

/** @param recipients whose messages the reader may see: what support is told is not for customers */
export async function readNotifications(
  db: Db,
  expedienteId: string,
  recipients: readonly Recipient[],
): Promise<z.input<typeof notificationSchema>[]> {
  const { vehicle_id: vehicleId, customer_id: customerId } = await db
    .selectFrom("expedientes")
    .where("id", "=", expedienteId)
    .select(["vehicle_id", "customer_id"])
    .executeTakeFirstOrThrow();
  const rows = await db
    .selectFrom("notifications")
    .where((or) =>
      or.or([
        or("expediente_id", "=", expedienteId),
        or.and([or("vehicle_id", "=", vehicleId), or("customer_id", "=", customerId)]),
      ]),
    )
    .where("recipient", "in", recipients)
    .orderBy("id")
    .selectAll()
    .execute();
  return rows.map((row) => ({
    id: row.id,
    row: row.row_id,
    event: row.event,
    recipient: row.recipient,
    channel: row.channel,
    priority: row.priority,
    status: row.status,
    subject: row.subject,
    body: row.body,
    createdAt: row.created_at.toISOString(),
    sentAt: row.sent_at?.toISOString() ?? null,
  }));
}
