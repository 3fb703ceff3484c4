import { afterAll, beforeAll, expect, test } from "vitest";
import { describeTask } from "../../../rules/task-table.ts";
import { type SoldCar, startTestSales, type TestSales } from "../../../testing/fixtures/sales.ts";

let platform: TestSales;
beforeAll(async () => {
  platform = await startTestSales({ name: "sale_charge_back", standIns: ["gateway", "factory"] });
});
afterAll(() => platform.close());

/** The reservation's payment, once the bank has taken it back and the gateway's message has been heard. */
async function chargeReservationBack(car: SoldCar): Promise<string> {
  const paid = await car.customer.post(`/api/expedientes/${car.expedienteId}/reservation-payment`, {
    paymentMethod: "pm_card_visa",
  });
  const reference = paid.text("id");
  await platform.runJobs();
  await platform.gateway("POST", "/_control/disputes", { reference });
  const giveUpAt = Date.now() + 20_000;
  for (;;) {
    await platform.runJobs();
    const { body } = await car.customer.get(`/api/payments/${reference}`);
    if (JSON.stringify(body).includes("chargedBack")) return reference;
    if (Date.now() > giveUpAt) throw new Error("the charge-back was not heard of");
  }
}

test("a reservation that is charged back is owed no more; the dealership decides what becomes of the sale [FA5]", async () => {
  const car = await platform.sell();
  const paymentId = await chargeReservationBack(car);
  const rows = await platform.db
    .selectFrom("ledger_postings")
    .innerJoin("ledger_transactions", "ledger_transactions.id", "transaction_id")
    .where("payment_id", "=", paymentId)
    .groupBy("account")
    .select((select) => ["account", select.fn.sum<string>("amount_cents").as("cents")])
    .orderBy("account")
    .execute();
  expect(rows.map((row) => ({ ...row, cents: Number(row.cents) }))).toEqual([
    { account: "customerDeposits", cents: 0 },
    { account: "gatewayClearing", cents: 0 },
  ]);
  const tasks = platform.published.flatMap(({ name, event }) =>
    name === "taskNeeded" && event.subject.paymentId === paymentId
      ? [[event.kind, describeTask(event, event.subject).team]]
      : [],
  );
  expect(tasks).toEqual([["chargeBack", "dealership"]]);
  const refund = await platform.staff.support.post(`/api/payments/${paymentId}/refunds`, {
    amountCents: 1,
    reason: "goodwill",
  });
  expect(refund.status).toBe(409);
});
