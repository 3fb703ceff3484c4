import { type Insertable, sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue } from "../../store/jobs.ts";
import type { Database } from "../../store/schema.ts";
import { mailAttempts, sendMailJob } from "./jobs.ts";

export type NewNotification = Omit<Insertable<Database["notifications"]>, "id" | "status" | "created_at">;

/** Writes notifications and enqueues their mail; a channel that does not exist yet is recorded as such. */
export async function writeNotifications(
  context: Context,
  tx: Transaction,
  written: readonly NewNotification[],
): Promise<void> {
  if (written.length === 0) return;
  const created_at = context.clock.now();
  const rows = written.map((notification) => {
    const status = notification.channel === "email" ? "queued" : "channelNotConfigured";
    return { ...notification, id: newId(), status, created_at };
  });
  const mails = rows.filter(({ status }) => status === "queued");
  await enqueue(
    tx,
    sendMailJob,
    mails.map(({ id }) => ({ payload: { notificationId: id }, maxAttempts: mailAttempts })),
    [
      sql`
        insert into notifications
        select * from jsonb_populate_recordset(null::notifications, ${JSON.stringify(rows)}::jsonb)`,
    ],
  );
}
