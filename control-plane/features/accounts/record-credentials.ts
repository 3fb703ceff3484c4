import { cutText } from "@caas/contract/outside-text.ts";
import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { notificationTable } from "../../rules/notification-table.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";

/** A password for a new account, or the earlier purchase whose mail has the password of the account that there is. */
export type Access = { password: string } | { password: null; mailedFor: string };

/** A sale whose mail has not gone out yet. */
export type Sale = {
  expedienteId: string;
  vehicleId: string;
  reference: string;
  customerId: string;
  name: string;
  email: string;
  username: string | null;
};

const masked = "••••";
const maxErrorLength = 500;

/** The mail server has taken the mail: once per sale. */
export async function recordSent(
  context: Context,
  tx: Transaction,
  sale: Sale,
  access: Access,
  providerId: string,
): Promise<void> {
  const now = context.clock.now();
  const updated = await tx
    .updateTable("expedientes")
    .set({ credentials_issued_at: now })
    .where("id", "=", sale.expedienteId)
    .where("credentials_issued_at", "is", null)
    .executeTakeFirst();
  if (updated.numUpdatedRows !== 1n) return;
  await recordSteps(tx, [
    {
      expedienteId: sale.expedienteId,
      vehicleId: sale.vehicleId,
      event: "credentialsMailed",
      automation: "AU3",
      actor: system,
      at: now,
      detail: { username: sale.email },
    },
  ]);
  await recordMail(tx, sale, access, now, { status: "accepted", providerId });
}

/** The address is wrong, or the last try failed as well: a person must reach the customer (ES6). */
export async function recordUndeliverable(
  context: Context,
  tx: Transaction,
  sale: Sale,
  access: Access,
  reason: string,
): Promise<void> {
  await tx
    .updateTable("expedientes")
    // The mail of the customer's next purchase has a password again.
    .set({ carries_password: false })
    .where("id", "=", sale.expedienteId)
    .execute();
  const outcome = { status: "failed", reason } as const;
  const notificationId = await recordMail(tx, sale, access, context.clock.now(), outcome);
  const { event } = notificationTable.NT1;
  const subject = { expedienteId: sale.expedienteId, vehicleId: sale.vehicleId };
  await context.publish(tx, "taskNeeded", [
    { kind: "mailUndeliverable", facts: { event }, detail: { notificationId }, subject },
  ]);
}

/** @returns the notification's id */
async function recordMail(
  tx: Transaction,
  sale: Sale,
  access: Access,
  now: Date,
  outcome: { status: "accepted"; providerId: string } | { status: "failed"; reason: string },
): Promise<string> {
  const id = newId();
  const isAccepted = outcome.status === "accepted";
  const { event, recipient, priority } = notificationTable.NT1;
  await tx
    .insertInto("notifications")
    .values({
      id,
      row_id: "NT1",
      event,
      recipient,
      channel: "email",
      priority,
      status: outcome.status,
      address: sale.email,
      subject: `Your access to ${sale.reference}`,
      body: `User name: ${sale.email}\nPassword: ${access.password === null ? "the one you already have" : masked}`,
      expediente_id: sale.expedienteId,
      vehicle_id: sale.vehicleId,
      activation_id: null,
      customer_id: sale.customerId,
      provider_id: isAccepted ? outcome.providerId : null,
      last_error: isAccepted ? null : cutText(outcome.reason, maxErrorLength),
      created_at: now,
      sent_at: isAccepted ? now : null,
    })
    .execute();
  return id;
}
