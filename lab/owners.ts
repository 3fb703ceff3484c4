import { randomBytes } from "node:crypto";
import { newId } from "@caas/control-plane/store/ids.ts";
import pg from "pg";
import { openSecrets } from "../start/secrets.ts";

// Cars put there by SQL have owners who never chose a password and whose cars no workshop has seen. Here they get
// what a purchase is judged by: a session of their own, a car that the workshops know, services to choose from.

/** Who buys: one owner a car. `token` is their session's. */
export type Buyer = { vehicleId: string; token: string };

export type PreparedBuyers = { buyers: Buyer[]; serviceIds: string[] };

/** As a car that was just delivered. */
const maintenancePlan = { planMonths: 12, planKm: 15_000 };
const sessionDays = 7;
const dayMs = 86_400_000;
/** Calls to the workshops at one time. */
const askedAtOnce = 16;

/** @throws when the workshops refuse a car, or a service code of an earlier call is there already */
export async function prepareBuyers(options: {
  databaseUrl: string;
  vssUrl: string;
  dataDir: string;
  /** A car buys each service once: what is active already would be refused. */
  services: number;
  now: Date;
}): Promise<PreparedBuyers> {
  const client = new pg.Client({ connectionString: options.databaseUrl });
  await client.connect();
  try {
    const { rows: cars } = await client.query<{ vehicle_id: string; vin: string; customer_id: string }>(
      `select link.vehicle_id, link.vin, vehicle.owner_customer_id as customer_id
       from vehicle_links link join vehicles vehicle on vehicle.id = link.vehicle_id order by link.vin`,
    );
    const users = cars.map(() => newId());
    const tokens = cars.map(() => randomBytes(24).toString("hex"));
    await client.query(
      `insert into auth_users (id, name, email, role, "customerId")
       select given.id, customer.name, customer.email, 'customer', customer.id
       from unnest($1::text[], $2::uuid[]) as given (id, customer_id)
       join customers customer on customer.id = given.customer_id`,
      [users, cars.map(({ customer_id }) => customer_id)],
    );
    await client.query(
      `insert into auth_sessions (id, "userId", token, "expiresAt")
       select * from unnest($1::text[], $2::text[], $3::text[]), (select $4::timestamptz) as until`,
      [cars.map(() => newId()), users, tokens, new Date(Date.now() + sessionDays * dayMs)],
    );
    const serviceIds = Array.from({ length: options.services }, () => newId());
    await client.query(
      `insert into catalog_services (id, code, name, description, price_cents, currency, duration_days, configuration)
       select id, 'paid' || number, 'Paid service ' || number, 'Bought by a benchmark.', 100 + number, 'EUR', 30,
              jsonb_build_object('level', number, 'zones', jsonb_build_array('left', 'right'))
       from unnest($1::uuid[]) with ordinality as given (id, number)`,
      [serviceIds],
    );
    await client.query("analyze auth_users, auth_sessions, catalog_services");
    await registerCars(
      cars.map(({ vin }) => vin),
      options,
    );
    return {
      buyers: cars.map(({ vehicle_id }, index) => ({ vehicleId: vehicle_id, token: tokens[index] ?? "" })),
      serviceIds,
    };
  } finally {
    await client.end();
  }
}

async function registerCars(
  vins: readonly string[],
  { vssUrl, dataDir, now }: { vssUrl: string; dataDir: string; now: Date },
): Promise<void> {
  const plan = JSON.stringify({ soldOn: now.toISOString().slice(0, 10), ...maintenancePlan });
  const headers = {
    authorization: `Bearer ${openSecrets(dataDir).VSS_API_KEY}`,
    "content-type": "application/json",
  };
  const left = [...vins];
  const work = async () => {
    for (let vin = left.pop(); vin !== undefined; vin = left.pop()) {
      const response = await fetch(`${vssUrl}/v1/vehicles/${vin}`, { method: "PUT", headers, body: plan });
      if (!response.ok) throw new Error(`the workshops answered ${response.status} about ${vin}`);
      await response.body?.cancel();
    }
  };
  await Promise.all(Array.from({ length: askedAtOnce }, work));
}
