import { dayMs } from "@caas/contract/durations.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SoldCar, startTestSales, type TestSales } from "../../../testing/fixtures/sales.ts";

const visa = { paymentMethod: "pm_card_visa" };
const declined = { paymentMethod: "pm_card_chargeDeclinedInsufficientFunds" };

let platform: TestSales;
beforeAll(async () => {
  platform = await startTestSales({
    name: "final_payment_terms",
    standIns: ["gateway", "factory"],
    factoryPace: { mode: "auto", milestoneDelayMs: 0 },
    settings: { FINAL_PAYMENT_TRIES: 3, FINAL_PAYMENT_DEADLINE_DAYS: 14 },
  });
});
afterAll(() => platform.close());

async function pay(car: SoldCar, means: { paymentMethod: string }): Promise<number> {
  const answer = await car.customer.post(`/api/expedientes/${car.expedienteId}/final-payment`, means);
  await platform.runJobs();
  return answer.status;
}

/** Days pass, and what is due on the way is done. */
async function wait(days: number): Promise<void> {
  platform.clock.advanceMs(days * dayMs);
  await platform.runTimers();
}

function told(car: SoldCar): string[] {
  return platform.published.flatMap(({ name, event }) =>
    name === "notificationDue" &&
    event.subject.expedienteId === car.expedienteId &&
    event.row.startsWith("NX")
      ? [[event.row, event.detail?.daysLeft ?? event.detail?.triesLeft].join(" ").trim()]
      : [],
  );
}

async function ledgerKindsOf(car: SoldCar): Promise<string[]> {
  const rows = await platform.db
    .selectFrom("ledger_transactions")
    .innerJoin("payments", "payments.id", "ledger_transactions.payment_id")
    .where("payments.expediente_id", "=", car.expedienteId)
    .orderBy("ledger_transactions.id")
    .select("ledger_transactions.kind")
    .execute();
  return rows.map(({ kind }) => kind);
}

describe("terms kinder than the first refusal, and with an end [LF5, LF6]", () => {
  test("two refusals leave the car reserved and are told; the third loses it, and the reservation is forfeited [FP1, FP2]", async () => {
    const car = await platform.sellReadyCar();
    expect(await pay(car, declined)).toBe(202);
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    expect(await pay(car, declined)).toBe(202);
    expect(told(car)).toEqual(["NX8 2", "NX8 1"]);
    expect(await ledgerKindsOf(car)).toEqual(["depositReceived"]);
    expect(await pay(car, declined)).toBe(202);
    expect(await platform.stateOf(car.vehicleId)).toBe("DealershipStock");
    expect(await ledgerKindsOf(car)).toEqual(["depositReceived", "depositForfeited"]);
    expect(await pay(car, visa)).toBe(409);
  });

  test("paid after a refusal, all goes on, and nobody is reminded [FP2]", async () => {
    const car = await platform.sellReadyCar();
    await pay(car, declined);
    await pay(car, visa);
    await wait(14);
    expect(told(car)).toEqual(["NX8 2"]);
    expect(await ledgerKindsOf(car)).toEqual(["depositReceived", "depositReceived"]);
  });

  test("a card that does not exist costs no try", async () => {
    const car = await platform.sellReadyCar();
    for (let slip = 0; slip < 3; slip += 1) await pay(car, { paymentMethod: "pm_card_vsia" });
    expect([told(car), await platform.stateOf(car.vehicleId)]).toEqual([[], "PaymentPending"]);
  });

  test("reminded 7, 3 and 1 days before; at the deadline the car is lost, told and posted, once [FP3]", async () => {
    const car = await platform.sellReadyCar();
    for (const days of [6, 1, 4, 2]) await wait(days);
    expect(told(car)).toEqual(["NX6 7", "NX6 3", "NX6 1"]);
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    await wait(1);
    await wait(30);
    expect(told(car)).toEqual(["NX6 7", "NX6 3", "NX6 1", "NX7"]);
    expect(await platform.stateOf(car.vehicleId)).toBe("DealershipStock");
    expect(await ledgerKindsOf(car)).toEqual(["depositReceived", "depositForfeited"]);
    expect(await pay(car, visa)).toBe(409);
  });

  test("after the deadline nothing can be paid, also before it was noticed", async () => {
    const car = await platform.sellReadyCar();
    platform.clock.advanceMs(14 * dayMs);
    expect(await pay(car, visa)).toBe(409);
    await platform.runTimers();
    expect(told(car)).toEqual(["NX7"]);
  });

  test.each([
    ["yes: it was in time", "pm_card_visa", "captured", []],
    ["no: it is lost, whatever tries were left", "pm_card_chargeDeclined", "declined", ["lost"]],
  ] as const)(
    "the bank is still being asked at the deadline, and says %s [FP4]",
    async (_title, card, status, lost) => {
      const car = await platform.sellReadyCar();
      await wait(13);
      await platform.gateway("PUT", "/_control/faults", { timeOutBeforeDoingNext: { count: 1 } });
      expect(await pay(car, { paymentMethod: card })).toBe(202);
      await wait(1);
      expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
      await platform.retryJobs();
      const payment = await platform.db
        .selectFrom("payments")
        .where("expediente_id", "=", car.expedienteId)
        .where("kind", "=", "final")
        .select("status")
        .executeTakeFirstOrThrow();
      expect(payment.status).toBe(status);
      expect(await platform.stateOf(car.vehicleId)).toBe(
        lost.length > 0 ? "DealershipStock" : "PaymentPending",
      );
      await wait(1);
      expect(told(car)).not.toContain("NX7");
    },
  );
});
