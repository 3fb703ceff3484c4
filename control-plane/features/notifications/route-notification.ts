import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { notificationRows } from "../../rules/notification-rows.ts";
import type { Channel, NotificationRow } from "../../rules/notification-table.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue } from "../../store/jobs.ts";
import { mailAttempts, sendMailJob } from "./jobs.ts";
import { loadView } from "./load-view.ts";
import { isServiceSubject, loadServiceNotices, type ServiceNotice } from "./service-notices.ts";
import { findSubjectMatter, type SubjectMatter } from "./subject-matter.ts";
import type { Templates } from "./templates.ts";
import type { View } from "./view.ts";

type Addressee = { name: string; email: string; phone: string | null };

/** What one row says to whom, before it is written. */
type Prepared = {
  due: DomainEvents["notificationDue"];
  row: NotificationRow;
  matter: SubjectMatter;
  addressee: Addressee;
  view: View;
};

/**
 * One row of the table becomes one notification for each of its channels, written in the transaction that causes
 * it (ND10). Mail goes out by a job; a channel that is not there yet is recorded as such.
 */
export async function routeNotifications(
  context: Context,
  tx: Transaction,
  templates: Templates,
  options: { supportEmail: string },
  all: readonly DomainEvents["notificationDue"][],
): Promise<void> {
  const notices = await loadServiceNotices(
    tx,
    all.flatMap(({ subject }) => (isServiceSubject(subject) ? [subject.activationId] : [])),
  );
  const prepared: Prepared[] = [];
  for (const due of all) prepared.push(await prepare(tx, options, due, notices));
  const createdAt = context.clock.now();
  const notifications = prepared.flatMap(({ due, row, matter, addressee, view }) => {
    const message = templates.render(due.row.toLowerCase(), view);
    return row.channels.map((channel) => ({
      id: newId(),
      row_id: due.row,
      event: row.event,
      recipient: row.recipient,
      channel,
      priority: row.priority,
      status: channel === "email" ? ("queued" as const) : ("channelNotConfigured" as const),
      address: addressOn(channel, addressee),
      subject: message.subject,
      body: message.body,
      expediente_id: matter.expedienteId,
      vehicle_id: matter.vehicleId,
      activation_id: matter.activationId,
      customer_id: matter.customerId,
      created_at: createdAt,
    }));
  });
  if (notifications.length === 0) return;
  await sql`
    insert into notifications (id, row_id, event, recipient, channel, priority, status, address, subject, body,
                               expediente_id, vehicle_id, activation_id, customer_id, created_at)
    select id, row_id, event, recipient, channel, priority, status, address, subject, body,
           expediente_id, vehicle_id, activation_id, customer_id, created_at
    from jsonb_populate_recordset(null::notifications, ${JSON.stringify(notifications)}::jsonb)`.execute(tx);
  await enqueue(
    tx,
    sendMailJob,
    notifications
      .filter(({ channel }) => channel === "email")
      .map(({ id }) => ({ payload: { notificationId: id }, maxAttempts: mailAttempts })),
  );
}

async function prepare(
  tx: Transaction,
  { supportEmail }: { supportEmail: string },
  due: DomainEvents["notificationDue"],
  notices: ReadonlyMap<string, ServiceNotice>,
): Promise<Prepared> {
  if (due.row === "NT1")
    throw new Error(
      "NT1 carries a one-time password: it is sent by sendCredentials, never from a stored text",
    );
  const row: NotificationRow = notificationRows[due.row];
  const detail = due.detail ?? {};
  const notice = isServiceSubject(due.subject) ? notices.get(due.subject.activationId) : undefined;
  if (notice !== undefined) {
    const { matter, customer, view } = notice;
    const addressee = row.recipient === "support" ? supportAt(supportEmail) : customer;
    return { due, row, matter, addressee, view: { ...view, recipient: { name: addressee.name }, detail } };
  }
  const matter = await findSubjectMatter(tx, due.subject);
  const addressee = await findAddressee(tx, row, matter, supportEmail);
  return { due, row, matter, addressee, view: await loadView(tx, matter, addressee.name, detail) };
}

function supportAt(email: string): Addressee {
  return { name: "Support", email, phone: null };
}

async function findAddressee(
  tx: Transaction,
  row: NotificationRow,
  matter: SubjectMatter,
  supportEmail: string,
): Promise<Addressee> {
  switch (row.recipient) {
    case "support":
      return supportAt(supportEmail);
    case "customer": {
      if (matter.customerId === null) throw new Error(`"${row.event}" has no customer to go to`);
      return tx
        .selectFrom("customers")
        .where("id", "=", matter.customerId)
        .select(["name", "email", "phone"])
        .executeTakeFirstOrThrow(() => new Error(`no customer ${matter.customerId}`));
    }
  }
}

function addressOn(channel: Channel, addressee: Addressee): string | null {
  switch (channel) {
    case "email":
      return addressee.email;
    case "sms":
      return addressee.phone;
    case "push":
    case "inApp":
      return null;
  }
}
