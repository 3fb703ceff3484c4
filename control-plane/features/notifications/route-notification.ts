import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { notificationRows } from "../../rules/notification-rows.ts";
import type { Channel, NotificationRow } from "../../rules/notification-table.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue } from "../../store/jobs.ts";
import { mailAttempts, sendMailJob } from "./jobs.ts";
import { loadView } from "./load-view.ts";
import { findSubjectMatter, type SubjectMatter } from "./subject-matter.ts";
import type { Templates } from "./templates.ts";

type Addressee = { name: string; email: string; phone: string | null };

/**
 * One row of the table becomes one notification for each of its channels, written in the transaction that causes
 * it (ND10). Mail goes out by a job; a channel that is not there yet is recorded as such.
 */
export async function routeNotification(
  context: Context,
  tx: Transaction,
  templates: Templates,
  options: { supportEmail: string },
  due: DomainEvents["notificationDue"],
): Promise<void> {
  if (due.row === "NT1")
    throw new Error(
      "NT1 carries a one-time password: it is sent by sendCredentials, never from a stored text",
    );
  const row: NotificationRow = notificationRows[due.row];
  const matter = await findSubjectMatter(tx, due.subject);
  const addressee = await findAddressee(tx, row, matter, options.supportEmail);
  const view = await loadView(tx, matter, addressee.name, due.detail ?? {});
  const message = templates.render(due.row.toLowerCase(), view);
  for (const channel of row.channels) {
    const id = newId();
    await tx
      .insertInto("notifications")
      .values({
        id,
        row_id: due.row,
        event: row.event,
        recipient: row.recipient,
        channel,
        priority: row.priority,
        status: channel === "email" ? "queued" : "channelNotConfigured",
        address: addressOn(channel, addressee),
        subject: message.subject,
        body: message.body,
        expediente_id: matter.expedienteId,
        vehicle_id: matter.vehicleId,
        activation_id: matter.activationId,
        customer_id: matter.customerId,
        created_at: context.clock.now(),
      })
      .execute();
    if (channel === "email")
      await enqueue(tx, sendMailJob, { notificationId: id }, { maxAttempts: mailAttempts });
  }
}

async function findAddressee(
  tx: Transaction,
  row: NotificationRow,
  matter: SubjectMatter,
  supportEmail: string,
): Promise<Addressee> {
  switch (row.recipient) {
    case "support":
      return { name: "Support", email: supportEmail, phone: null };
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
