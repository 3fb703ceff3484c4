import type { Context } from "../../lifecycle/context.ts";
import type { DomainEvents } from "../../lifecycle/events.ts";
import { notificationRows } from "../../rules/notification-rows.ts";
import type { Channel, NotificationRow } from "../../rules/notification-table.ts";
import type { Transaction } from "../../store/database.ts";
import { type About, loadViews } from "./load-views.ts";
import type { Templates } from "./templates.ts";

import { writeNotifications } from "./write-notifications.ts";

/**
 * Each row of the table becomes one notification per channel, written in the transaction that causes it (ND10). Mail
 * goes out by a job; a channel that does not exist yet is recorded as such.
 */
export async function routeNotifications(
  context: Context,
  tx: Transaction,
  templates: Templates,
  options: { supportEmail: string },
  all: readonly DomainEvents["notificationDue"][],
): Promise<void> {
  const written = (await loadViews(tx, all)).flatMap(({ row: rowId, detail = {}, about }) => {
    if (rowId === "NT1")
      throw new Error(
        "NT1 carries a one-time password: it is sent by sendCredentials, never from a stored text",
      );
    const row: NotificationRow = notificationRows[rowId];
    const addressee = addresseeOf(row, about, options.supportEmail);
    const view = { ...about.view, recipient: { name: addressee.name }, detail };
    const { subject, body } = templates.render(rowId.toLowerCase(), view);
    return row.channels.map((channel) => ({
      row_id: rowId,
      event: row.event,
      recipient: row.recipient,
      channel,
      priority: row.priority,
      address: addressOn(channel, addressee),
      subject,
      body,
      expediente_id: about.expedienteId,
      vehicle_id: about.vehicleId,
      activation_id: about.activationId,
      customer_id: about.customer?.id ?? null,
    }));
  });
  await writeNotifications(context, tx, written);
}

type Addressee = { name: string; email: string; phone: string | null };

function addresseeOf(row: NotificationRow, { customer }: About, supportEmail: string): Addressee {
  switch (row.recipient) {
    case "support":
      return { name: "Support", email: supportEmail, phone: null };
    case "customer":
      if (customer === null) throw new Error(`"${row.event}" has no customer to go to`);
      return customer;
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
