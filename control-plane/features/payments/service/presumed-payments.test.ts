import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { defaultPresumptionLimits, type PresumptionLimits } from "../../../rules/presumption-policy.ts";
import {
  type PresumedPayments,
  priceCents,
  startPresumedPayments,
} from "../../../testing/fixtures/presumed-payments.ts";
import { hearAnswers } from "../hear.ts";
import { presumePayment } from "./presume.ts";

let platform: PresumedPayments;
beforeAll(async () => {
  platform = await startPresumedPayments("presumed_payments");
});
afterAll(() => platform?.close());

let customerId: string;
beforeEach(async () => {
  customerId = await platform.meetPayer();
});
afterEach(() => platform.gateway("DELETE", "/_control/faults"));

describe("the gateway does not answer the payment of a service [FA4, fault 24]", () => {
  test.each(["charged", "notCharged"] as const)(
    "it is presumed, whether the gateway did it or not (%s), and the exposure and the memo show it",
    async (did) => {
      const activationId = await platform.presume(did);
      expect(platform.toldAbout(activationId)).toEqual(["servicePaymentPresumed"]);
      expect(await platform.openCents()).toBe(priceCents);
      expect(await platform.balancesOf(activationId)).toEqual({
        presumedPayments: priceCents,
        presumedPaymentsContra: -priceCents,
      });
      expect(await platform.atGateway(activationId)).toMatchObject({ intents: did === "charged" ? 1 : 0 });
      await platform.lookUpAfter(10_000);
    },
  );

  test.each([
    ["a customer who never paid by card", { stranger: true }, "PP3"],
    ["a price above the limit", { amountCents: 5_001 }, "PP5"],
  ] as const)("%s waits: nothing is delivered, and the job asks again", async (_title, who, rule) => {
    const payer = "stranger" in who ? (await platform.sell()).customerId : customerId;
    await platform.timeOutNext("charged");
    const activationId = await platform.request({ payer, ...("amountCents" in who ? who : {}) });
    expect(await platform.runJobs()).toBe(1);
    expect(await platform.paymentOf(activationId)).toMatchObject({ status: "pending", waits_because: rule });
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAwaited"]);
    expect(await platform.openCents()).toBe(0);
    expect(await platform.retryJobs()).toBe(0);
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAwaited", "servicePaymentAuthorised"]);
    expect(await platform.atGateway(activationId)).toMatchObject({ intents: 1 });
  });

  test("the reason why a payment waits is told once, however often the gateway is asked in vain", async () => {
    const payer = (await platform.sell()).customerId;
    await platform.gateway("PUT", "/_control/faults", { timeOutBeforeDoingNext: { count: 3 } });
    const activationId = await platform.request({ payer });
    expect([await platform.runJobs(), await platform.retryJobs(), await platform.retryJobs()]).toEqual([
      1, 1, 1,
    ]);
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentAwaited"]);
  });

  test("the reservation and the final payment wait for certainty, no matter which customer pays [LF5]", async () => {
    const car = await platform.sell();
    await platform.timeOutNext("charged");
    await car.customer.post(`/api/expedientes/${car.expedienteId}/reservation-payment`, {
      paymentMethod: "pm_card_visa",
    });
    expect(await platform.runJobs()).toBe(1);
    const payment = await platform.db
      .selectFrom("payments")
      .where("expediente_id", "=", car.expedienteId)
      .select(["status", "waits_because"])
      .executeTakeFirstOrThrow();
    expect(payment).toEqual({ status: "pending", waits_because: "PP1" });
    expect(await platform.retryJobs()).toBe(0);
  });
});

describe("50 purchases at the same moment, none of them answered [fault 24]", () => {
  const fits = 7;
  const limits = { ...defaultPresumptionLimits, totalCapCents: 1_000_000 };

  async function presumeTogether(activationIds: readonly string[], caps: PresumptionLimits): Promise<number> {
    const payments = await Promise.all(activationIds.map(platform.paymentOf));
    const verdicts = await Promise.all(
      payments.map(({ id }) =>
        platform.db.transaction().execute((tx) => presumePayment(platform.context, tx, caps, id)),
      ),
    );
    return verdicts.filter((verdict) => verdict === "presumed").length;
  }

  /** So that the payments stay unanswered: their jobs never run. */
  async function requestMany(payers: readonly string[]): Promise<string[]> {
    const activationIds: string[] = [];
    for (const payer of payers) activationIds.push(await platform.request({ payer }));
    await platform.db.deleteFrom("jobs").execute();
    return activationIds;
  }

  test("of one customer: exactly as many are presumed as the cap holds, the others wait for the same reason", async () => {
    const activationIds = await requestMany(Array.from({ length: 50 }, () => customerId));
    const caps = { ...limits, customerCapCents: fits * priceCents + priceCents - 1 };
    expect(await presumeTogether(activationIds, caps)).toBe(fits);
    expect(await platform.openCents()).toBe(fits * priceCents);
    const payments = await Promise.all(activationIds.map(platform.paymentOf));
    expect(payments.filter(({ waits_because }) => waits_because === "PP6")).toHaveLength(50 - fits);
    const told = activationIds.flatMap(platform.toldAbout);
    expect(told.filter((name) => name === "servicePaymentPresumed")).toHaveLength(fits);
    for (const payment of payments.filter(({ status }) => status === "presumed"))
      await platform.db.transaction().execute((tx) =>
        hearAnswers(platform.context, tx, [
          {
            paymentId: payment.id,
            answer: { status: "declined", gatewayPaymentId: null, reason: "neverMade" },
          },
        ]),
      );
    expect(await platform.openCents()).toBe(0);
  });
});
