import { cutText } from "@caas/contract/outside-text.ts";
import { type Selectable, sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents, NotificationSubject } from "../../lifecycle/events.ts";
import { type NotificationRowId, notificationRows } from "../../rules/notification-rows.ts";
import type { Db, Transaction } from "../../store/database.ts";
import { inOrderOf } from "../../store/map-each.ts";
import type { Database } from "../../store/schema.ts";

export type Notification = Selectable<Database["notifications"]>;

/** The outcome of one try to send a notification; `queued`: it is retried. */
export type MailTry = {
  notification: Notification;
  status: "accepted" | "failed" | "queued";
  /** Of the mail server, once it has accepted the mail. */
  providerId: string | null;
  error: string | null;
};

const maxErrorLength = 500;

/** In the order of the ids. @throws when one is missing */
export async function readNotifications(db: Db, ids: readonly string[]): Promise<Notification[]> {
  const rows = await db
    .selectFrom("notifications")
    .selectAll()
    .where(sql<boolean>`id = any(${[...ids]}::uuid[])`)
    .execute();
  return inOrderOf(ids, rows, "notification");
}

/**
 * Records the outcomes of tries; only the first final one of a mail counts. A mail to a customer that will never arrive
 * becomes a task: the customer must be reached in another way (ES6).
 */
export async function recordMails(
  context: Context,
  tx: Transaction,
  tries: readonly MailTry[],
): Promise<void> {
  const { rows } = await sql<{ id: string }>`
    update notifications as notification
    set status = tried.status, provider_id = tried.provider_id, last_error = tried.error,
        sent_at = case tried.status when 'accepted' then ${context.clock.now()}::timestamptz end
    from unnest(${tries.map(({ notification }) => notification.id)}::uuid[],
                ${tries.map(({ status }) => status)}::text[],
                ${tries.map(({ providerId }) => providerId)}::text[],
                ${tries.map(({ error }) => (error === null ? null : cutText(error, maxErrorLength)))}::text[])
      as tried (id, status, provider_id, error)
    where notification.id = tried.id and notification.status = 'queued'
    returning notification.id`.execute(tx);
  const updated = new Set(rows.map(({ id }) => id));
  const accepted: DomainEvents["notificationAccepted"][] = [];
  const undeliverable: DomainEvents["taskNeeded"][] = [];
  for (const { notification, status } of tries) {
    const { id: notificationId, row_id: row, recipient, event } = notification;
    if (!updated.has(notificationId)) continue;
    const subject = subjectOf(notification);
    if (status === "accepted" && isNotificationRow(row)) accepted.push({ row, notificationId, subject });
    if (status === "failed" && recipient === "customer")
      undeliverable.push({
        kind: "mailUndeliverable",
        facts: { event },
        detail: { notificationId },
        subject,
      });
  }
  await context.publish(tx, "notificationAccepted", accepted);
  await context.publish(tx, "taskNeeded", undeliverable);
}

function subjectOf(notification: Notification): NotificationSubject {
  return {
    ...(notification.expediente_id === null ? {} : { expedienteId: notification.expediente_id }),
    ...(notification.vehicle_id === null ? {} : { vehicleId: notification.vehicle_id }),
    ...(notification.activation_id === null ? {} : { activationId: notification.activation_id }),
  };
}

function isNotificationRow(rowId: string): rowId is NotificationRowId {
  return Object.hasOwn(notificationRows, rowId);
}
