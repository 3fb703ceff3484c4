import { Kysely, PostgresDialect, sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../../../test/servers/database.ts";
import { writeSale } from "../../testing/fixtures/sales.ts";
import { type OpenDatabase, openDatabase } from "../database.ts";
import { newId } from "../ids.ts";
import { up } from "./0016-partners-heard.ts";

let database: TestDatabase;
let opened: OpenDatabase;

beforeAll(async () => {
  database = await createTestDatabase("partners_heard");
  opened = openDatabase(database.url, 2, () => undefined);
});
afterAll(async () => {
  await opened.close();
  await database.drop();
});

test("what is under way at the time of the change is looked up, and a car that is back can be picked up", async () => {
  const { db, pool } = opened;
  const at = new Date("2026-03-02T09:00:00Z");
  const dealershipId = newId();
  await db.insertInto("dealerships").values({ id: dealershipId, name: "Madrid" }).execute();
  await db
    .insertInto("auth_users")
    .values({
      id: "seller",
      name: "Sales",
      email: "sales@caas.example",
      role: "sales",
      dealershipId,
      customerId: null,
      image: null,
    })
    .execute();
  const transportIn = async (number: number, status: "returned" | "customerAbsent" | "scheduled") => {
    const facts = { state: status === "scheduled" ? "InTransit" : "AtDealership" } as const;
    const base = { code: "ciudad", name: "Ciudad", priceCents: 2_990_000 };
    const sale = await writeSale(db, {
      number,
      at,
      dealershipId,
      soldBy: "seller",
      customerName: "Luc\u00eda Ferrer",
      facts,
      planComercial: { base, options: [] },
    });
    const id = newId();
    await db
      .insertInto("transports")
      .values({
        id,
        expediente_id: sale.expedienteId,
        reference: `TRA-${number}`,
        status,
        requested_date: "2026-03-05",
        arranged_by: "seller",
        requested_at: at,
      })
      .execute();
    return { id, vehicleId: sale.vehicleId };
  };
  const back = await transportIn(1, "returned");
  const onItsWayBack = await transportIn(2, "customerAbsent");
  const scheduled = await transportIn(3, "scheduled");
  await sql`
    drop table partner_requests;
    alter table received_webhooks drop column body, drop column failure, drop column failed_at;
    alter table transports drop column called_off_at;
    alter table vehicles drop column back_at_dealership`.execute(db);

  await up(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) }));

  const timers = await db.selectFrom("timers").select(["kind", "subject_id"]).orderBy("subject_id").execute();
  expect(timers).toEqual(
    [onItsWayBack, scheduled].map(({ id }) => ({ kind: "carrierSilent", subject_id: id })),
  );
  const cars = await db.selectFrom("vehicles").select(["id", "back_at_dealership"]).execute();
  expect(cars.filter((car) => car.back_at_dealership).map(({ id }) => id)).toEqual([back.vehicleId]);
});
