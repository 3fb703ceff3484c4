import { hashPassword } from "../../http/passwords.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";

export type NewStaff = {
  name: string;
  email: string;
  password: string;
} & ({ role: "admin" | "support"; dealershipId: null } | { role: "sales"; dealershipId: string });

/** Gives an employee an account. @returns its user id, or `emailTaken` when an account already has that e-mail */
export async function createStaff(tx: Transaction, staff: NewStaff): Promise<string | "emailTaken"> {
  return insertUser(tx, {
    name: staff.name,
    email: staff.email,
    role: staff.role,
    dealershipId: staff.dealershipId,
    customerId: null,
    passwordHash: await hashPassword(staff.password),
  });
}

/** @returns the id of the dealership of this name, which is made where there is none */
export async function createDealership(tx: Transaction, name: string): Promise<string> {
  const { id } = await tx
    .insertInto("dealerships")
    .values({ id: newId(), name })
    // An update that changes nothing, because only then an existing row is returned.
    .onConflict((conflict) => conflict.column("name").doUpdateSet({ name }))
    .returning("id")
    .executeTakeFirstOrThrow();
  return id;
}

type NewUser = {
  name: string;
  email: string;
  role: "admin" | "sales" | "support" | "customer";
  dealershipId: string | null;
  customerId: string | null;
  passwordHash: string;
};

export async function insertUser(tx: Transaction, user: NewUser): Promise<string | "emailTaken"> {
  const id = newId();
  const inserted = await tx
    .insertInto("auth_users")
    .values({
      id,
      name: user.name,
      email: user.email.trim().toLowerCase(),
      // Credentials go to this address and nowhere else, so a customer who signs in has read it.
      emailVerified: user.role === "customer",
      image: null,
      role: user.role,
      dealershipId: user.dealershipId,
      customerId: user.customerId,
    })
    .onConflict((conflict) => conflict.column("email").doNothing())
    .executeTakeFirst();
  if (inserted.numInsertedOrUpdatedRows !== 1n) return "emailTaken";
  await tx
    .insertInto("auth_accounts")
    .values({ id: newId(), userId: id, accountId: id, providerId: "credential", password: user.passwordHash })
    .execute();
  return id;
}
