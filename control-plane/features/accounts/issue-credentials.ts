import { generatePassword, hashPassword } from "../../http/passwords.ts";
import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { insertUser } from "./create-staff.ts";
import { credentialsAttempts } from "./jobs.ts";
import { type Access, recordSent, recordUndeliverable, type Sale } from "./record-credentials.ts";

/** Sends the access of a sale (NT1). `refused`: the mail server will never take it; `unavailable`: it may later. */
export type CredentialsMail = (
  mail: { to: string; name: string; username: string; expedienteReference: string } & Access,
) => Promise<{ kind: "accepted"; providerId: string } | { kind: "refused" | "unavailable"; reason: string }>;

/**
 * Makes and mails a customer's one-time password. The password exists in this function and in the mail, nowhere
 * else: a mail that fails is repeated by the job with a new password.
 * @throws when the mail server may take it later
 */
export async function issueCredentials(
  context: Context,
  sendCredentials: CredentialsMail,
  expedienteId: string,
  attempt: number,
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
  if (sent.kind === "unavailable" && attempt < credentialsAttempts)
    throw new Error(`the mail server has not taken the credentials of ${sale.reference}: ${sent.reason}`);
  await context.db.transaction().execute(async (tx) => {
    if (sent.kind === "accepted") await recordSent(context, tx, sale, access, sent.providerId);
    else await recordUndeliverable(context, tx, sale, access, sent.reason);
  });
}

/** `null` when the mail has gone out already, or never will. */
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
    .select((row) =>
      row
        .exists(
          row
            .selectFrom("notifications")
            .whereRef("notifications.expediente_id", "=", "expedientes.id")
            .where("notifications.row_id", "=", "NT1")
            .select("notifications.id"),
        )
        .as("is_recorded"),
    )
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${expedienteId}`));
  if (row.credentials_issued_at !== null || row.is_recorded) return null;
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
  await tx
    .updateTable("expedientes")
    .set({ username: sale.email, carries_password: access.password !== null })
    .where("id", "=", sale.expedienteId)
    .execute();
  // A repeated try makes another password but is still the one step of the automation table.
  if (sale.username === null)
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
