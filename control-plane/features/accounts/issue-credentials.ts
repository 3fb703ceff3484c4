import { generatePassword, hashPassword } from "../../http/passwords.ts";
import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { notificationTable } from "../../rules/notification-table.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { insertUser } from "./create-staff.ts";

/** A password for a new account, or the earlier purchase whose mail has the password of the account that there is. */
export type Access = { password: string } | { password: null; mailedFor: string };

/**
 * Sends the access of a sale (NT1).
 * @returns a refusal when the mail server will never take it. @throws when it may take it later
 */
export type CredentialsMail = (
  mail: { to: string; name: string; username: string; expedienteReference: string } & Access,
) => Promise<{ kind: "accepted"; providerId: string } | { kind: "refused"; reason: string }>;

type Sale = {
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

/**
 * Makes and mails a customer's one-time password. The password exists in this function and in the mail, nowhere
 * else: a mail that fails is repeated by the job with a new password.
 */
export async function issueCredentials(
  context: Context,
  sendCredentials: CredentialsMail,
  expedienteId: string,
): Promise<void> {
  const sale = await loadUnissued(context, expedienteId);
  if (sale === null) return;
  const access = await context.db.transaction().execute((tx) => generateAccess(context, tx, sale));
  const sent = await sendCredentials({
    to: sale.email,
    name: sale.name,
    username: sale.email,
    expedienteReference: sale.reference,
    ...access,
  });
  await context.db.transaction().execute(async (tx) => {
    if (sent.kind === "accepted") await recordSent(context, tx, sale, access, sent.providerId);
    else await recordRefused(context, tx, sale, access, sent.reason);
  });
}

/** `null` when the mail has gone out already. */
async function loadUnissued(context: Context, expedienteId: string): Promise<Sale | null> {
  const row = await context.db
    .selectFrom("expedientes")
    .innerJoin("customers", "customers.id", "expedientes.customer_id")
    .where("expedientes.id", "=", expedienteId)
    .select([
      "expedientes.vehicle_id",
      "expedientes.reference",
      "expedientes.username",
      "expedientes.credentials_issued_at",
      "expedientes.customer_id",
      "expedientes.buyer",
      "customers.email",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${expedienteId}`));
  if (row.credentials_issued_at !== null) return null;
  return {
    expedienteId,
    vehicleId: row.vehicle_id,
    reference: row.reference,
    customerId: row.customer_id,
    name: row.buyer.contactPerson ?? row.buyer.name,
    email: row.email,
    username: row.username,
  };
}

/**
 * Each account has one purchase whose mail carries its password, the first; its repeated tries make another password. A
 * mail about another purchase names that one, and leaves its password valid.
 */
async function generateAccess(context: Context, tx: Transaction, sale: Sale): Promise<Access> {
  // Sales to one customer take turns here, so they do not both make an account.
  await tx.selectFrom("customers").where("id", "=", sale.customerId).select("id").forUpdate().execute();
  const mailedFor = await findSaleWithPassword(tx, sale);
  const access: Access =
    mailedFor === null ? { password: generatePassword() } : { password: null, mailedFor };
  if (access.password !== null) await setPassword(context, tx, sale, await hashPassword(access.password));
  // A repeated try makes another password but is still the one step of the automation table.
  if (sale.username === null) {
    await tx
      .updateTable("expedientes")
      .set({ username: sale.email, carries_password: access.password !== null })
      .where("id", "=", sale.expedienteId)
      .execute();
    await recordSteps(tx, [
      {
        expedienteId: sale.expedienteId,
        vehicleId: sale.vehicleId,
        event: "credentialsGenerated",
        automation: "AU2",
        actor: system,
        at: context.clock.now(),
        detail: { username: sale.email, existingAccount: access.password === null },
      },
    ]);
  }
  return access;
}

/** The reference of the customer's other sale whose mail has the password, or will have it. */
async function findSaleWithPassword(tx: Transaction, sale: Sale): Promise<string | null> {
  const other = await tx
    .selectFrom("expedientes")
    .where("customer_id", "=", sale.customerId)
    .where("id", "<>", sale.expedienteId)
    .where("carries_password", "=", true)
    .limit(1)
    .select("reference")
    .executeTakeFirst();
  return other?.reference ?? null;
}

async function setPassword(
  context: Context,
  tx: Transaction,
  sale: Sale,
  passwordHash: string,
): Promise<void> {
  const user = await tx
    .selectFrom("auth_users")
    .where("customerId", "=", sale.customerId)
    .select("id")
    .executeTakeFirst();
  if (user !== undefined) {
    await tx
      .updateTable("auth_accounts")
      .set({ password: passwordHash, updatedAt: context.realClock.now() })
      .where("userId", "=", user.id)
      .where("providerId", "=", "credential")
      .execute();
    return;
  }
  const made = await insertUser(tx, {
    name: sale.name,
    email: sale.email,
    role: "customer",
    dealershipId: null,
    customerId: sale.customerId,
    passwordHash,
  });
  if (made === "emailTaken") throw new Error(`${sale.reference}: its e-mail belongs to another account`);
}

async function recordSent(
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

/** The address is wrong: no later try would do better, and a person must reach the customer (ES6). */
async function recordRefused(
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
      last_error: isAccepted ? null : outcome.reason.slice(0, maxErrorLength),
      created_at: now,
      sent_at: isAccepted ? now : null,
    })
    .execute();
  return id;
}
