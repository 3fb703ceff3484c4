import { Kysely, PostgresDialect, sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/servers/database.ts";
import { type OpenDatabase, openDatabase } from "../database.ts";
import { newId } from "../ids.ts";
import { up as giveSalesBuyers } from "./0013-buyers.ts";

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  database = await createTestDatabase("buyers");
  opened = openDatabase(database.url, 2, () => undefined);
});
afterAll(async () => {
  await opened.close();
  await database.drop();
});

test("sales from before keep their customer as buyer, and the password that was mailed for them [F20, N5]", async () => {
  const { db, pool } = opened;
  await sql`alter table expedientes drop column buyer, drop column carries_password`.execute(db);
  const [dealership, customer, mailed, waiting] = [newId(), newId(), newId(), newId()];
  const address = { street: "Calle Mayor 1", city: "Madrid", postalCode: "28013", country: "ES" };
  await sql`insert into dealerships (id, name) values (${dealership}, 'North')`.execute(db);
  await sql`
    insert into auth_users (id, name, email, role, "dealershipId")
    values ('seller', 'Seller', 'seller@caas.example', 'sales', ${dealership})`.execute(db);
  await sql`
    insert into customers (id, name, email, phone, address, created_at)
    values (${customer}, 'Lucía Ferrer', 'lucia@customer.example', '+34600111222', ${JSON.stringify(address)}, now())`.execute(
    db,
  );
  for (const [id, issuedAt] of [
    [mailed, "2026-03-02T09:00:00Z"],
    [waiting, null],
  ] as const) {
    await sql`insert into vehicles (id, state, created_at) values (${id}, 'start', now())`.execute(db);
    await sql`
      insert into expedientes (id, reference, customer_id, dealership_id, vehicle_id, sold_by, plan_comercial, price_cents,
        reservation_cents, currency, credentials_issued_at, created_at)
      values (${id}, ${id}, ${customer}, ${dealership}, ${id}, 'seller', '{}', 100, 10, 'EUR', ${issuedAt}, now())`.execute(
      db,
    );
  }
  await giveSalesBuyers(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) }));
  const buyer = {
    kind: "person",
    name: "Lucía Ferrer",
    givenName: null,
    familyName: null,
    identityDocument: null,
    contactPerson: null,
    phone: "+34600111222",
    address,
  };
  const sales = db.selectFrom("expedientes").orderBy("id").select(["id", "buyer", "carries_password"]);
  expect(await sales.execute()).toEqual([
    { id: mailed, buyer, carries_password: true },
    { id: waiting, buyer, carries_password: false },
  ]);
});
