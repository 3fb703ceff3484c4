import { afterAll, beforeAll, expect, test } from "vitest";
import { registered, startTestSales, type TestSales, type WrittenSale } from "../testing/fixtures/sales.ts";

// The edges of what the schemas take: the database must take them, too, or they are refused with a reason.

let platform: TestSales;
let sale: WrittenSale;

beforeAll(async () => {
  platform = await startTestSales({ name: "odd_values", standIns: [] });
  sale = await platform.writeSale(registered);
});
afterAll(() => platform?.close());

test.each([
  ["reservation-payment", { method: "cash", amountCents: Number.MAX_SAFE_INTEGER }],
  ["reservation-payment", { method: "cash", amountCents: 1 }],
  ["reservation-payment", { paymentMethod: "💳".repeat(25) }],
  ["transport", { date: "0000-01-01" }],
  ["transport", { date: "9999-12-31" }],
  ["pick-up", { receivedBy: "🚗".repeat(100) }],
])("the command %s with %j is answered, and not by a fault of ours [R8]", async (command, body) => {
  const answer = await platform.staff.sales.post(`/api/expedientes/${sale.expedienteId}/${command}`, body);
  expect([answer.status < 500, answer.body]).toEqual([true, expect.anything()]);
});

test.each([
  "expedientes?limit=100&after=ffffffff-ffff-ffff-ffff-ffffffffffff",
  "expedientes?after=FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
  "expedientes?search=%25%5C_'%22",
  "expedientes?search=%F0%9F%9A%97",
  "expedientes?search=%ff%fe",
  "expedientes?limit=1e2",
  "expedientes?limit=1e400",
  "expedientes?vehicleState=Nowhere&vehicleState=Registered",
  "expedientes?__proto__=x",
  "vehicles?limit=0x10",
  `expedientes/${"f".repeat(8)}-ffff-ffff-ffff-${"f".repeat(12)}`,
])("the question %s is answered, and not by a fault of ours [R8]", async (question) => {
  const answer = await platform.staff.sales.get(`/api/${question}`);
  expect([answer.status < 500, answer.body]).toEqual([true, expect.anything()]);
});

test("steps may be asked for after the largest number there is [R8]", async () => {
  const url = `/api/expedientes/${sale.expedienteId}/steps?after=${Number.MAX_SAFE_INTEGER}`;
  expect((await platform.staff.sales.get(url)).body).toEqual({ steps: [] });
});
