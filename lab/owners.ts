import { createHash, randomBytes } from "node:crypto";
import { businessDay } from "@caas/contract/business-day.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { hashToken } from "@caas/control-plane/http/hashed-sessions.ts";
import { newId } from "@caas/control-plane/store/ids.ts";
import { forEachAtOnce } from "@caas/simulator/run/pace.ts";
import type { Owner } from "@caas/simulator/run/world.ts";
import type pg from "pg";
import { openSecrets } from "../start/secrets.ts";
import type { SeededCar } from "./seed-fleet.ts";

// Cars that SQL put there have owners who never chose a password, and no workshop has seen them. Here they get what a
// purchase is judged by: an account, a car that the workshops know, services to choose from.

/** An owner who is signed in; one per car. */
export type Buyer = { vehicleId: string; token: string };

export type Service = { id: string; code: string; priceCents: number };

/** As a car that was just delivered. */
const maintenancePlan = { planMonths: 12, planKm: 15_000 };
const sessionDays = 7;
/** Calls to the workshops at one time. */
const askedAtOnce = 16;

/** A car buys each service once, so there must be as many as it buys. */
export async function addServices(client: pg.Client, count: number): Promise<Service[]> {
  const { rows } = await client.query<Service>(
    `insert into catalog_services (id, code, name, description, price_cents, currency, duration_days, configuration)
     select id, 'lab' || number, 'Lab service ' || number, 'Bought in a measurement.', 100 + number, 'EUR', 30,
            jsonb_build_object('level', number, 'zones', jsonb_build_array('left', 'right'))
     from unnest($1::uuid[]) with ordinality as given (id, number)
     returning id, code, price_cents as "priceCents"`,
    [Array.from({ length: count }, newId)],
  );
  return rows;
}

/** Gives every owner an account. @returns their ids, in the order of the cars */
async function addUsers(client: pg.Client, cars: readonly SeededCar[]): Promise<string[]> {
  const users = cars.map(newId);
  await client.query(
    `insert into auth_users (id, name, email, "emailVerified", role, "customerId")
     select given.id, customer.name, customer.email, true, 'customer', customer.id
     from unnest($1::text[], $2::uuid[]) as given (id, customer_id)
     join customers customer on customer.id = given.customer_id`,
    [users, cars.map(({ customerId }) => customerId)],
  );
  return users;
}

/** Accounts whose owners are signed in already. */
export async function signOwnersIn(client: pg.Client, cars: readonly SeededCar[]): Promise<Buyer[]> {
  const users = await addUsers(client, cars);
  const tokens = cars.map(() => randomBytes(24).toString("hex"));
  await client.query(
    `insert into auth_sessions (id, "userId", token, "expiresAt")
     select * from unnest($1::text[], $2::text[], $3::text[]), (select $4::timestamptz) as until`,
    [cars.map(newId), users, tokens.map(hashToken), new Date(Date.now() + sessionDays * dayMs)],
  );
  await client.query("analyze auth_users, auth_sessions, catalog_services");
  return cars.map(({ vehicleId }, index) => ({ vehicleId, token: tokens[index] ?? "" }));
}

/** Accounts with generated passwords, as a sale's mail brings them. */
export async function giveLogins(client: pg.Client, cars: readonly SeededCar[]): Promise<Owner[]> {
  const users = await addUsers(client, cars);
  const passwords = cars.map(() => `caas-${randomBytes(24).toString("base64url")}`);
  await client.query(
    `insert into auth_accounts (id, "userId", "accountId", "providerId", password)
     select given.id, given.user_id, given.user_id, 'credential', given.hash
     from unnest($1::text[], $2::text[], $3::text[]) as given (id, user_id, hash)`,
    [
      cars.map(newId),
      users,
      passwords.map((password) => `sha256$${createHash("sha256").update(password).digest("base64url")}`),
    ],
  );
  return cars.map(({ vin, vehicleId, email }, index) => ({
    vin,
    vehicleId,
    username: email,
    password: passwords[index] ?? "",
  }));
}

/** @throws Error when the workshops refuse a car */
export function registerAtWorkshops(
  { vssUrl, dataDir, now }: { vssUrl: string; dataDir: string; now: Date },
  vins: readonly string[],
): Promise<void> {
  const plan = JSON.stringify({ soldOn: businessDay(now), ...maintenancePlan });
  const headers = {
    authorization: `Bearer ${openSecrets(dataDir).VSS_API_KEY}`,
    "content-type": "application/json",
  };
  return forEachAtOnce(vins, askedAtOnce, async (vin) => {
    const response = await fetch(`${vssUrl}/v1/vehicles/${vin}`, { method: "PUT", headers, body: plan });
    if (!response.ok) throw new Error(`the workshops answered ${response.status} about ${vin}`);
    await response.body?.cancel();
  });
}
