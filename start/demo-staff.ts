import { createDealership, createStaff } from "@caas/control-plane/features/accounts/create-staff.ts";
import { openDatabase } from "@caas/control-plane/store/database.ts";
import type { Secrets } from "./secrets.ts";

export type Login = { username: string; password: string };
export type StaffLogins = Record<"admin" | "sales" | "support", Login>;

const dealership = "Concesionario Ribera";

export function listStaffLogins({ staffPasswords }: Secrets): StaffLogins {
  return {
    admin: { username: "admin@caas.example", password: staffPasswords.admin },
    sales: { username: "ventas@caas.example", password: staffPasswords.sales },
    support: { username: "soporte@caas.example", password: staffPasswords.support },
  };
}

/**
 * Gives the demonstration's three employees their accounts, on the first start: an installation needs someone
 * who may sign in before anything can be done over REST.
 * @param databaseUrl of a database that is migrated
 */
export async function createDemoStaff(databaseUrl: string, logins: StaffLogins): Promise<void> {
  const { db, close } = openDatabase(databaseUrl, 1, () => undefined);
  try {
    const usernames = Object.values(logins).map(({ username }) => username);
    const known = await db.selectFrom("auth_users").where("email", "in", usernames).select("email").execute();
    if (known.length === usernames.length) return;
    await db.transaction().execute(async (tx) => {
      const dealershipId = await createDealership(tx, dealership);
      const account = ({ username, password }: Login, name: string) => ({ name, email: username, password });
      await createStaff(tx, { ...account(logins.admin, "Inés Prado"), role: "admin", dealershipId: null });
      await createStaff(tx, { ...account(logins.sales, "Laura Ruiz"), role: "sales", dealershipId });
      await createStaff(tx, {
        ...account(logins.support, "Marcos Vidal"),
        role: "support",
        dealershipId: null,
      });
    });
  } finally {
    await close();
  }
}
