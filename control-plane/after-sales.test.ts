import { dayMs } from "@caas/contract/durations.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { requestRefund } from "./features/payments/money-back/refunds.ts";
import { moveVehicles } from "./lifecycle/move-vehicles.ts";
import { defaultPresumptionLimits } from "./rules/presumption-policy.ts";
import type { TestCar } from "./testing/fixtures/fleet.ts";
import { type PaidFleet, startPaidFleet } from "./testing/fixtures/paid-fleet.ts";
import { type SoldCar, startTestSales, type TestSales } from "./testing/fixtures/sales.ts";

// What comes after a sale and after a purchase, through the wiring that runs: each test begins at the partner or the
// clock and looks at the car's manifest, the ledger, the tasks and the mailbox.

const priceCents = 1_900;

describe("after a service was bought", () => {
  let fleet: PaidFleet;
  beforeAll(async () => {
    fleet = await startPaidFleet({ presumption: defaultPresumptionLimits, webhooks: true });
  });
  afterAll(() => fleet?.close());
  afterEach(async () => {
    await fleet.control("DELETE", "/_control/faults");
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "approve" });
  });

  async function untilMailed(car: TestCar, subject: string): Promise<void> {
    await fleet.waitUntil(`the customer is mailed "${subject}"`, async () => {
      await fleet.retryJobs();
      const letters = fleet.fakes.mail.to(car.customerEmail).map((letter) => letter.subject);
      return letters.includes(subject) ? true : undefined;
    });
  }

  const openTasks = async (activationId: string) => {
    const tasks = fleet.db.selectFrom("tasks").where("activation_id", "=", activationId).orderBy("id");
    return (await tasks.select("kind").execute()).map(({ kind }) => kind);
  };

  test("a late decline: withdrawn from the car, support has a task, the customer a mail", async () => {
    const car = await fleet.addCar();
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "declineCapture" });
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "ServiceActive");
    await untilMailed(car, "heatedSeats has been withdrawn");
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    expect(await openTasks(activationId)).toEqual(["captureFailed"]);
  });

  test("a charge-back, and its end: withdrawn, a task each, a mail, and the time-line says both", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    const { id: reference } = await fleet.paymentOf(activationId);
    const dispute = await fleet.control("POST", "/_control/disputes", { reference });
    await untilMailed(car, "heatedSeats has been withdrawn after a charge-back");
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    const id = dispute !== null && typeof dispute === "object" && "id" in dispute ? dispute.id : "";
    await fleet.control("PUT", `/_control/disputes/${id}`, { status: "won" });
    await fleet.waitUntil("the charge-back is won", async () => {
      await fleet.retryJobs();
      return (await fleet.statusOf(activationId)) === "captured" ? true : undefined;
    });
    expect(await openTasks(activationId)).toEqual(["chargeBack", "chargeBackWon"]);
    expect(await fleet.differencesOf(activationId)).toEqual(["moneyWithoutService owed"]);
    expect((await fleet.wordsAbout(activationId)).inWords.slice(-1)).toEqual([
      "The bank gave the 1900 cents of the charge-back back to us.",
    ]);
  });

  test("a refund: withdrawn, in the ledger, a mail; sent back by the bank: a task and a mail [F11]", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyAndPay(car, "heatedSeats");
    const { id } = await fleet.paymentOf(activationId);
    const request = { amountCents: priceCents, reason: "goodwill", requestedBy: "support-1" };
    await fleet.db.transaction().execute((tx) => requestRefund(fleet.context, tx, id, request));
    await untilMailed(car, "Money given back for heatedSeats");
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    expect(await fleet.sumsOf(activationId)).toEqual({ refunds: priceCents, serviceRevenue: -priceCents });
    const refund = fleet.db.selectFrom("refunds").where("payment_id", "=", id).select("gateway_refund_id");
    const { gateway_refund_id: refundId } = await refund.executeTakeFirstOrThrow();
    await fleet.control("PUT", `/_control/refunds/${refundId}`, { status: "failed" });
    await untilMailed(car, "Your refund for heatedSeats came back to us");
    expect(await openTasks(activationId)).toEqual(["refundFailed"]);
    expect(await fleet.differencesOf(activationId)).toEqual(["moneyWithoutService owed"]);
  });

  test("a hold lost while the car is away: not charged, and a mail [F12]", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await fleet.buy(car, "heatedSeats");
    const { id: reference } = await fleet.paymentOf(activationId);
    await fleet.control("POST", "/_control/payments", { reference, action: "void" });
    await untilMailed(car, "heatedSeats is not switched on; you are not charged");
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
  });

  test("less captured by hand than was held: the receipt says what was taken [F10]", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await fleet.buy(car, "heatedSeats");
    const { id: reference } = await fleet.paymentOf(activationId);
    const taken = { action: "capture", amountCents: 249 };
    await fleet.control("POST", "/_control/payments", { reference, ...taken });
    await untilMailed(car, `Payment received (${car.reference})`);
    const [receipt] = fleet.fakes.mail.to(car.customerEmail);
    expect(receipt?.text).toContain("€2.49");
    expect(await openTasks(activationId)).toEqual(["otherAmountTaken"]);
  });

  test("a presumed payment that does not exist: taken back before and after the car's proof, a mail each", async () => {
    const car = await fleet.knownCustomersCar();
    const proved = await fleet.buyUnanswered(car, "heatedSeats", "notCharged");
    await fleet.waitFor(proved, "ServiceActive");
    await car.park();
    const waiting = await fleet.buyUnanswered(car, "highwayAssist", "notCharged");
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "decline" });
    await fleet.lookUpAfter(10_000);
    await untilMailed(car, "heatedSeats has been withdrawn");
    await untilMailed(car, "highwayAssist is not switched on; you are not charged");
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    expect(await fleet.stateOf(waiting)).toBe("PaymentFailed");
  });

  test("the end of a term: the next manifest leaves the service out", async () => {
    const car = await fleet.addCar();
    await fleet.buyAndPay(car, "heatedSeats");
    expect(await fleet.codesOf(car)).toContain("heatedSeats");
    await fleet.lookUpAfter(31 * dayMs);
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
  });
});

describe("after a car was sold", () => {
  let platform: TestSales;
  beforeAll(async () => {
    platform = await startTestSales({
      name: "after_sales",
      standIns: ["gateway", "factory"],
      factoryPace: { mode: "auto", milestoneDelayMs: 0 },
    });
  });
  afterAll(() => platform?.close());

  const mailOf = async (car: SoldCar) => {
    const { email } = await platform.db
      .selectFrom("customers")
      .where("id", "=", car.customerId)
      .select("email")
      .executeTakeFirstOrThrow();
    return platform.fakes.mail.to(email).map(({ subject }) => subject);
  };

  async function depositOf(car: SoldCar): Promise<string[]> {
    const kinds = platform.db
      .selectFrom("ledger_transactions")
      .innerJoin("payments", "payments.id", "payment_id")
      .where("expediente_id", "=", car.expedienteId)
      .orderBy("ledger_transactions.id")
      .select("ledger_transactions.kind");
    return (await kinds.execute()).map(({ kind }) => kind);
  }

  test("handed over: what was owed is earned", async () => {
    const car = await platform.sellReadyCar();
    await platform.db
      .updateTable("vehicles")
      .set({
        state: "DeliveryAttempt",
        registration: "recorded",
        final_payment: "received",
        transport: "arranged",
      })
      .where("id", "=", car.vehicleId)
      .execute();
    const moved = await platform.inTransaction((tx) =>
      moveVehicles(platform.context, tx, [
        {
          vehicleId: car.vehicleId,
          event: "customerPresent",
          actor: { kind: "partner", id: "transport" },
          set: { physically_delivered: true, owner_customer_id: car.customerId },
        },
      ]),
    );
    expect(moved).toMatchObject([{ kind: "moved" }]);
    expect(await depositOf(car)).toEqual(["depositReceived", "depositEarned"]);
  });

  test("the bank refuses the final payment: the deposit is forfeited, and the customer is mailed [NX1]", async () => {
    const car = await platform.sellReadyCar();
    await car.customer.post(`/api/expedientes/${car.expedienteId}/final-payment`, {
      paymentMethod: "pm_card_chargeDeclinedInsufficientFunds",
    });
    await platform.runJobs();
    expect(await depositOf(car)).toEqual(["depositReceived", "depositForfeited"]);
    expect(await mailOf(car)).toContain(`Your reservation has ended (${car.reference})`);
  });

  test("a charge-back of a sale's payment: the dealership's staff are mailed their task", async () => {
    const car = await platform.sell();
    await car.customer.post(`/api/expedientes/${car.expedienteId}/reservation-payment`, {
      paymentMethod: "pm_card_visa",
    });
    await platform.runJobs();
    const { id: reference } = await platform.db
      .selectFrom("payments")
      .where("expediente_id", "=", car.expedienteId)
      .select("id")
      .executeTakeFirstOrThrow();
    await platform.gateway("POST", "/_control/disputes", { reference });
    const { email } = await platform.db
      .selectFrom("auth_users")
      .where("id", "=", platform.staff.sales.userId)
      .select("email")
      .executeTakeFirstOrThrow();
    await platform.waitUntil("the staff's mail", async () => {
      await platform.retryJobs();
      const subjects = platform.fakes.mail.to(email).map(({ subject }) => subject);
      return subjects.some((subject) => subject.includes("A bank took a payment back")) ? true : undefined;
    });
  });
});
