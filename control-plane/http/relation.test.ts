import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Person } from "../testing/fixtures/people.ts";
import { startTestSales, type TestSales, type WrittenSale } from "../testing/fixtures/sales.ts";
import { writeUnchargedPurchase } from "../testing/fixtures/written-purchases.ts";

let platform: TestSales;
let seller: Person;
let buyer: Person;
let sale: WrittenSale;
let otherSale: WrittenSale;
/** What the former and the present owner bought for the car. */
let former: Purchase;
let present: Purchase;

type Purchase = { activationId: string; paymentId: string };

/** A car whose buyer has since sold it to another customer. */
beforeAll(async () => {
  platform = await startTestSales({ name: "relation", standIns: [] });
  sale = await platform.writeSale({ state: "Operational", physically_delivered: true });
  otherSale = await platform.writeSale({ state: "Operational", physically_delivered: true });
  [seller, buyer] = [await platform.customerOf(sale), await platform.customerOf(otherSale)];
  former = await addPurchase(sale.customerId);
  present = await addPurchase(otherSale.customerId);
});
afterAll(() => platform?.close());

const addPurchase = (customerId: string): Promise<Purchase> =>
  writeUnchargedPurchase(platform.db, {
    vehicleId: sale.vehicleId,
    customerId,
    at: platform.clock.now(),
  });

const ownedBy = (customerId: string | null) =>
  platform.db
    .updateTable("vehicles")
    .set({ owner_customer_id: customerId })
    .where("id", "=", sale.vehicleId)
    .execute();

async function statusesFor(person: Person, urls: readonly string[]): Promise<number[]> {
  return Promise.all(urls.map(async (url) => (await person.get(url)).status));
}

const ofTheCar = () => [
  `/api/vehicles/${sale.vehicleId}`,
  `/api/vehicles/${sale.vehicleId}/activations`,
  `/api/vehicles/${sale.vehicleId}/catalog`,
];
const ofThePurchase = ({ activationId, paymentId }: Purchase) => [
  `/api/activations/${activationId}`,
  `/api/activations/${activationId}/steps`,
  `/api/activations/${activationId}/explanation`,
  `/api/payments/${paymentId}`,
];

describe("a car that has changed hands", () => {
  test("belongs to its buyer until it has an owner", async () => {
    await ownedBy(null);
    expect(await statusesFor(seller, ofTheCar())).toEqual([200, 200, 200]);
    expect(await statusesFor(buyer, ofTheCar())).toEqual([404, 404, 404]);
  });

  test("is no longer seen by its former owner, who keeps seeing what they bought", async () => {
    await ownedBy(otherSale.customerId);
    expect(await statusesFor(seller, ofTheCar())).toEqual([404, 404, 404]);
    expect(await statusesFor(seller, ofThePurchase(former))).toEqual([200, 200, 200, 200]);
    expect(await statusesFor(seller, ofThePurchase(present))).toEqual([404, 404, 404, 404]);
    expect(await statusesFor(seller, [`/api/expedientes/${sale.expedienteId}`])).toEqual([200]);
    const listed = await seller.get("/api/vehicles");
    expect(JSON.stringify(listed.body)).not.toContain(sale.vehicleId);
  });

  test("is seen by its new owner, who sees nothing of what the former one bought and paid", async () => {
    await ownedBy(otherSale.customerId);
    expect(await statusesFor(buyer, ofTheCar())).toEqual([200, 200, 200]);
    expect(await statusesFor(buyer, ofThePurchase(former))).toEqual([404, 404, 404, 404]);
    expect(await statusesFor(buyer, ofThePurchase(present))).toEqual([200, 200, 200, 200]);
    expect(await statusesFor(buyer, [`/api/expedientes/${sale.expedienteId}`])).toEqual([404]);
    const bought = await buyer.get(`/api/vehicles/${sale.vehicleId}/activations`);
    expect(bought.body).toMatchObject({ activations: [{ id: present.activationId }] });
    expect(JSON.stringify(bought.body)).not.toContain(former.activationId);
    const cancelled = await buyer.post(`/api/activations/${former.activationId}/cancellation`);
    expect(cancelled.status).toBe(404);
  });

  test("shows staff of its dealership and support everything, and another dealership nothing", async () => {
    const { sales, support, otherSales } = platform.staff;
    const urls = [`/api/vehicles/${sale.vehicleId}/activations`, ...ofThePurchase(former)];
    for (const person of [sales, support]) {
      expect(await statusesFor(person, urls)).toEqual(urls.map(() => 200));
      expect(JSON.stringify((await person.get(urls[0] ?? "")).body)).toContain(former.activationId);
    }
    expect(await statusesFor(otherSales, urls)).toEqual(urls.map(() => 404));
  });
});

describe("an Idempotency-Key", () => {
  test("that was used on one route is refused on another with the same body, and on another thing", async () => {
    await ownedBy(sale.customerId);
    await platform.db.updateTable("vehicles").set({ state: "Delivered" }).execute();
    const key = randomUUID();
    const first = await seller.post(`/api/vehicles/${sale.vehicleId}/link-codes`, {}, key);
    expect(first.status).toBeLessThan(300);
    const elsewhere = await seller.post(`/api/activations/${former.activationId}/cancellation`, {}, key);
    expect(elsewhere).toMatchObject({ status: 422, body: { code: "idempotencyKeyReused" } });
    const again = await seller.post(`/api/vehicles/${sale.vehicleId}/link-codes`, {}, key);
    expect(again.body).toEqual(first.body);
    const foreign = await buyer.post(`/api/vehicles/${otherSale.vehicleId}/link-codes`, {}, key);
    expect(foreign.body).not.toMatchObject({ code: "idempotencyKeyReused" });
  });
});
