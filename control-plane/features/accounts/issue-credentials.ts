import { generatePassword, hashPassword } from "../../http/passwords.ts";
import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { notificationTable } from "../../rules/notification-table.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { insertUser } from "./create-staff.ts";

/**
 * Sends the access of a sale (NT1). `password` is null for a customer who already has an account: the mail then
 * says that the new purchase is found there.
 * @throws when the mail may be taken later
 */
export type CredentialsMail = (mail: {
  to: string;
  name: string;
  username: string;
  password: string | null;
  expedienteReference: string;
}) => Promise<{ providerId: string }>;

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
  const password = await context.db.transaction().execute((tx) => generateAccess(context, tx, sale));
  const username = sale.email;
  const sent = await sendCredentials({
    to: sale.email,
    name: sale.name,
    username,
    password,
    expedienteReference: sale.reference,
  });
  await context.db.transaction().execute((tx) => recordSent(context, tx, sale, password !== null, sent));
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
      "customers.name",
      "customers.email",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${expedienteId}`));
  if (row.credentials_issued_at !== null) return null;
  return {
    expedienteId,
    vehicleId: row.vehicle_id,
    reference: row.reference,
    customerId: row.customer_id,
    name: row.name,
    email: row.email,
    username: row.username,
  };
}

/** The new password, or `null` where the customer's account keeps the one it has. */
async function generateAccess(context: Context, tx: Transaction, sale: Sale): Promise<string | null> {
  // Two sales to one new customer take turns here, so they do not both make an account.
  await tx.selectFrom("customers").where("id", "=", sale.customerId).select("id").forUpdate().execute();
  const user = await tx
    .selectFrom("auth_users")
    .where("customerId", "=", sale.customerId)
    .select("id")
    .executeTakeFirst();
  const known = user !== undefined && (await hasReceivedAccess(tx, sale.customerId));
  const password = known ? null : generatePassword();
  if (password !== null) {
    const passwordHash = await hashPassword(password);
    if (user === undefined) {
      const made = await insertUser(tx, {
        name: sale.name,
        email: sale.email,
        role: "customer",
        dealershipId: null,
        customerId: sale.customerId,
        passwordHash,
      });
      if (made === "emailTaken") throw new Error(`${sale.reference}: its e-mail belongs to another account`);
    } else {
      await tx
        .updateTable("auth_accounts")
        .set({ password: passwordHash, updatedAt: context.realClock.now() })
        .where("userId", "=", user.id)
        .where("providerId", "=", "credential")
        .execute();
    }
  }
  // A repeated try makes another password but is still the one step of the automation table.
  if (sale.username === null) {
    await tx
      .updateTable("expedientes")
      .set({ username: sale.email })
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
        detail: { username: sale.email, existingAccount: known },
      },
    ]);
  }
  return password;
}

async function hasReceivedAccess(tx: Transaction, customerId: string): Promise<boolean> {
  const earlier = await tx
    .selectFrom("expedientes")
    .where("customer_id", "=", customerId)
    .where("credentials_issued_at", "is not", null)
    .select("id")
    .limit(1)
    .executeTakeFirst();
  return earlier !== undefined;
}

async function recordSent(
  context: Context,
  tx: Transaction,
  sale: Sale,
  withPassword: boolean,
  sent: { providerId: string },
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
  const notificationId = newId();
  const { event, recipient, priority } = notificationTable.NT1;
  await tx
    .insertInto("notifications")
    .values({
      id: notificationId,
      row_id: "NT1",
      event,
      recipient,
      channel: "email",
      priority,
      status: "accepted",
      address: sale.email,
      subject: `Your access to ${sale.reference}`,
      body: `User name: ${sale.email}\nPassword: ${withPassword ? masked : "the one you already have"}`,
      expediente_id: sale.expedienteId,
      vehicle_id: sale.vehicleId,
      activation_id: null,
      customer_id: sale.customerId,
      provider_id: sent.providerId,
      last_error: null,
      created_at: now,
      sent_at: now,
    })
    .execute();
}
