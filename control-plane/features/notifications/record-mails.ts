import { type Selectable, sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents, NotificationSubject } from "../../lifecycle/events.ts";
import { awaitedNotification } from "../../rules/notification-rows.ts";
import type { Db } from "../../store/database.ts";
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
 * Records the outcomes of tries; only the first final one of a mail counts. Most have no consequence, and those need no
 * transaction.
 */
export async function recordMails(context: Context, tries: readonly MailTry[]): Promise<void> {
  const { db } = context;
  if (!tries.some((tried) => isAwaited(tried) || isUndeliverable(tried)))
    await writeTries(context, db, tries);
  else
    await db.transaction().execute(async (tx) => {
      const written = await writeTries(context, tx, tries);
      await context.publish(tx, "notificationAccepted", written.filter(isAwaited).map(acceptedOf));
      await context.publish(tx, "taskNeeded", written.filter(isUndeliverable).map(undeliverableOf));
    });
}

function isAwaited({ status, notification }: MailTry): boolean {
  return status === "accepted" && notification.row_id === awaitedNotification;
}

/** A mail to a customer that will never arrive: the customer must be reached in another way (ES6). */
function isUndeliverable({ status, notification }: MailTry): boolean {
  return status === "failed" && notification.recipient === "customer";
}

function acceptedOf({ notification }: MailTry): DomainEvents["notificationAccepted"] {
  return { notificationId: notification.id, subject: subjectOf(notification) };
}

function undeliverableOf({ notification }: MailTry): DomainEvents["taskNeeded"] {
  const { id: notificationId, event } = notification;
  return {
    kind: "mailUndeliverable",
    facts: { event },
    detail: { notificationId },
    subject: subjectOf(notification),
  };
}

/** @returns those that were recorded */
async function writeTries(context: Context, db: Db, tries: readonly MailTry[]): Promise<MailTry[]> {
  const { rows } = await sql<{ id: string }>`
    update notifications as notification
    set status = tried.status, provider_id = tried.provider_id, last_error = tried.error,
        sent_at = case tried.status when 'accepted' then ${context.clock.now()}::timestamptz end
    from unnest(${tries.map(({ notification }) => notification.id)}::uuid[],
                ${tries.map(({ status }) => status)}::text[],
                ${tries.map(({ providerId }) => providerId)}::text[],
                ${tries.map(({ error }) => error?.slice(0, maxErrorLength) ?? null)}::text[])
      as tried (id, status, provider_id, error)
    where notification.id = tried.id and notification.status = 'queued'
    returning notification.id`.execute(db);
  const updated = new Set(rows.map(({ id }) => id));
  return tries.filter(({ notification }) => updated.has(notification.id));
}

function subjectOf(notification: Notification): NotificationSubject {
  return {
    ...(notification.expediente_id === null ? {} : { expedienteId: notification.expediente_id }),
    ...(notification.vehicle_id === null ? {} : { vehicleId: notification.vehicle_id }),
    ...(notification.activation_id === null ? {} : { activationId: notification.activation_id }),
  };
}
