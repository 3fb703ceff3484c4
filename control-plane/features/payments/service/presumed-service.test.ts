import { hourMs } from "@caas/contract/durations.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { reconcileWithinMs } from "../../../rules/presumption-policy.ts";
import { type PaidFleet, startPaidFleet } from "../../../testing/fixtures/paid-fleet.ts";
import { type Person, seedStaff } from "../../../testing/fixtures/people.ts";
import { signInBuyer } from "../../../testing/fixtures/sales.ts";

const priceCents = 1_900;
/** Two services of one customer fit, a third does not; three of all customers fit. */
const presumption = {
  maxAmountCents: 5_000,
  customerCapCents: 2 * priceCents,
  totalCapCents: 3 * priceCents,
};
const nothing = { heldCents: 0, capturedCents: 0, refundedCents: 0, disputedCents: 0 };

let fleet: PaidFleet;
beforeAll(async () => {
  fleet = await startPaidFleet({ presumption, webhooks: false });
});
afterAll(() => fleet?.close());
afterEach(async () => {
  await fleet.control("DELETE", "/_control/faults");
  // Everything presumed is found out, so that one test's exposure is not another's.
  await fleet.lookUpAfter(10_000);
});

/** What Prometheus would read of what is presumed now. */
async function gauges(): Promise<Record<string, number>> {
  const { text } = await fleet.metrics.render();
  const lines = text.matchAll(
    /^(caas_presumed_open_cents|caas_invariant_(?:tolerated|violations)\{invariant="serviceWithoutMoney"[^}]*\}) (\d+)$/gm,
  );
  return Object.fromEntries(
    [...lines].flatMap(([, name = "", value]) =>
      name.includes("chargeBack") ? [] : [[name, Number(value)]],
    ),
  );
}

/** What the owner is answered who cancels now; nothing may come of it. */
async function cancelTooLate(owner: Person, activationId: string): Promise<string> {
  const before = [await fleet.stateOf(activationId), await fleet.statusOf(activationId)];
  const answer = await owner.post(`/api/activations/${activationId}/cancellation`);
  expect([answer.status, answer.text("code")]).toEqual([409, "conflict"]);
  expect([await fleet.stateOf(activationId), await fleet.statusOf(activationId)]).toEqual(before);
  return answer.text("detail");
}

const tooLate = "It is too late to cancel: the service was already applied in the car.";

describe("who cancels a service that the car has applied is told what is true of its payment", () => {
  test("presumed it is not called paid, and once it is taken it is called charged [FA4]", async () => {
    const car = await fleet.knownCustomersCar();
    const owner = await signInBuyer(fleet, car);
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "charged");
    await fleet.waitFor(activationId, "ServiceActive");
    const knownBy = new Date(fleet.clock.now().getTime() + reconcileWithinMs).toISOString();
    expect(await cancelTooLate(owner, activationId)).toBe(
      `heatedSeats was proved by the car. The bank has not answered yet, so its payment is presumed until ${knownBy}; nothing has been charged so far. ${tooLate}`,
    );
    await fleet.lookUpAfter(10_000);
    expect(await cancelTooLate(owner, activationId)).toBe(
      `heatedSeats is active: the car proved it, and only then the price was charged. The bank had not answered at first and was presumed. ${tooLate}`,
    );
  });

  test("held and not captured yet it is not called paid", async () => {
    const car = await fleet.knownCustomersCar();
    const owner = await signInBuyer(fleet, car);
    await car.park();
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.runJobs();
    await fleet.control("PUT", "/_control/faults", { failNext: { count: 1_000, status: 503 } });
    await car.drive();
    await fleet.waitFor(activationId, "ServiceActive");
    expect(await fleet.statusOf(activationId)).toBe("authorised");
    expect(await cancelTooLate(owner, activationId)).toBe(
      `heatedSeats was proved by the car; the payment is being taken. ${tooLate}`,
    );
  });

  test("refused after the proof it is not called active or paid [FA5]", async () => {
    const car = await fleet.knownCustomersCar();
    const owner = await signInBuyer(fleet, car);
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "notCharged");
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "decline" });
    await fleet.lookUpAfter(10_000);
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "approve" });
    const told = await cancelTooLate(owner, activationId);
    expect(told).toContain("so it was withdrawn. Nothing was charged.");
    expect(told).not.toContain("is active");
  });
});

describe("a service is delivered although the bank did not answer [FA4, FA5, fault 24]", () => {
  test("it did charge: delivered on the presumption, confirmed by a look-up, captured on the car's proof, once", async () => {
    const car = await fleet.knownCustomersCar();
    await car.park();
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "charged");
    expect([await fleet.statusOf(activationId), await fleet.stateOf(activationId)]).toEqual([
      "presumed",
      "OTAQueue",
    ]);
    const knownBy = new Date(fleet.clock.now().getTime() + reconcileWithinMs).toISOString();
    expect((await fleet.wordsAbout(activationId)).verdict).toBe(
      `The bank has not answered yet, so its payment is presumed until ${knownBy}; the service waits until the car is online and free. Nothing has been charged.`,
    );
    expect(await fleet.differencesOf(activationId)).toEqual(["moneyWithoutService presumed"]);

    await car.drive();
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.runJobs();
    expect(await fleet.takenAtGateway(activationId)).toEqual({
      ...nothing,
      intents: 1,
      heldCents: priceCents,
    });
    expect(await fleet.differencesOf(activationId)).toEqual(["serviceWithoutMoney presumed"]);
    expect((await fleet.wordsAbout(activationId)).verdict).toContain("nothing has been charged so far");

    await fleet.lookUpAfter(10_000);
    expect(await fleet.statusOf(activationId)).toBe("captured");
    expect(await fleet.takenAtGateway(activationId)).toEqual({
      ...nothing,
      intents: 1,
      capturedCents: priceCents,
    });
    expect(await fleet.differencesOf(activationId)).toEqual([]);
    const words = await fleet.wordsAbout(activationId);
    expect(words).toMatchObject({ charged: true, active: true });
    expect(words.verdict).toBe(
      "heatedSeats is active: the car proved it, and only then the price was charged. The bank had not answered at first and was presumed.",
    );
    expect(words.inWords).toEqual([
      `The bank did not answer. The payment is presumed to succeed and the service delivered; the truth is known by ${knownBy}.`,
      expect.stringMatching(/^The presumed payment exists: the bank holds the price until /),
    ]);
  });

  test("the manifest's entry may be applied until the payment must be known, and not a moment longer", async () => {
    const car = await fleet.knownCustomersCar();
    car.adapter.faults.rejects = "not now";
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "charged");
    const carried = await fleet.db
      .selectFrom("manifests")
      .where("activation_id", "=", activationId)
      .select("entries")
      .executeTakeFirstOrThrow();
    const knownBy = new Date(fleet.clock.now().getTime() + reconcileWithinMs).toISOString();
    expect(carried.entries).toContainEqual(
      expect.objectContaining({ code: "heatedSeats", applyBefore: knownBy }),
    );
    await fleet.waitFor(activationId, "CustomerNotified");
    await fleet.lookUpAfter(10_000);
    expect([await fleet.stateOf(activationId), await fleet.statusOf(activationId)]).toEqual([
      "NoCharge",
      "voided",
    ]);
    expect(await fleet.takenAtGateway(activationId)).toEqual({ ...nothing, intents: 1 });
  });

  test("it did not charge: the same key is asked again, and the hold of that answer pays", async () => {
    const car = await fleet.knownCustomersCar();
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "notCharged");
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.runJobs();
    expect(await fleet.takenAtGateway(activationId)).toEqual({ ...nothing, intents: 0 });
    await fleet.lookUpAfter(10_000);
    expect(await fleet.statusOf(activationId)).toBe("captured");
    expect(await fleet.takenAtGateway(activationId)).toEqual({
      ...nothing,
      intents: 1,
      capturedCents: priceCents,
    });
  });

  test("declined when it is asked again, after the car has applied it: the next manifest lacks it, it ends with its reason, nobody paid, the customer is told", async () => {
    const car = await fleet.knownCustomersCar();
    const card = "pm_card_visa";
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "notCharged");
    await fleet.waitFor(activationId, "ServiceActive");
    expect(await fleet.codesOf(car)).toContain("heatedSeats");
    await fleet.control("PUT", `/_control/cards/${card}`, { behaviour: "decline" });
    await fleet.lookUpAfter(10_000);
    await fleet.control("PUT", `/_control/cards/${card}`, { behaviour: "approve" });
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    await fleet.waitUntilObeyed(car);
    expect(await fleet.entitlementOf(activationId)).toEqual({ state: "ended", end_reason: "lateDecline" });
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
    expect(await fleet.sumsOf(activationId)).toEqual({});
    expect(fleet.messagesAbout(activationId)).toContain("NX2");
    expect(fleet.messagesAbout(activationId)).not.toContain("NT5");
    expect(await fleet.differencesOf(activationId)).toEqual([]);
    const words = await fleet.wordsAbout(activationId);
    expect(words).toMatchObject({ charged: false, active: false });
    expect(words.verdict).toBe(
      "heatedSeats was delivered on a payment that was presumed because the bank did not answer. The payment was then refused (generic_decline), so it was withdrawn. Nothing was charged.",
    );
    expect(words.inWords.slice(1)).toEqual([
      "The bank refused the presumed payment (generic_decline). What was delivered is taken back; nothing was charged.",
      "heatedSeats is taken out of the car again (generic_decline).",
    ]);
  });

  test("refuted while it waits for the car: it never begins, the exposure is free again, the customer is told", async () => {
    const car = await fleet.knownCustomersCar();
    await car.park();
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "notCharged");
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "decline" });
    await fleet.lookUpAfter(10_000);
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "approve" });
    expect(await fleet.stateOf(activationId)).toBe("PaymentFailed");
    expect(await fleet.entitlementOf(activationId)).toEqual({
      state: "ended",
      end_reason: "presumptionRefuted",
    });
    expect(fleet.messagesAbout(activationId)).toEqual(["NX3"]);
    expect((await fleet.wordsAbout(activationId)).verdict).toBe(
      "heatedSeats is not active: the bank did not answer, its payment was presumed, and it was then refused (generic_decline); so what had begun was taken back. Nothing was charged.",
    );
    await car.drive();
    await fleet.waitUntilObeyed(car);
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
  });

  test("refuted while the car's proof is on its way: the entry leaves with the next version, and the late proof charges nobody", async () => {
    const car = await fleet.knownCustomersCar();
    // Silent, and nobody knows it yet: the version with the entry is written, and its proof does not come.
    await fleet.fallSilent(car);
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "notCharged");
    expect(await fleet.stateOf(activationId)).toBe("OTAAttempt");
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "decline" });
    await fleet.lookUpAfter(10_000);
    await fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour: "approve" });
    expect(await fleet.stateOf(activationId)).toBe("PaymentFailed");
    expect(await fleet.codesOf(car)).not.toContain("heatedSeats");
    await car.drive();
    await fleet.waitUntilObeyed(car);
    await fleet.runJobs();
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
  });

  test("a customer without an earlier capture waits, and nothing is delivered until the bank is heard", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "charged");
    expect([await fleet.statusOf(activationId), await fleet.stateOf(activationId)]).toEqual([
      "pending",
      "PaymentInitiated",
    ]);
    expect(await fleet.codesOf(car).catch(() => [])).not.toContain("heatedSeats");
    expect((await fleet.wordsAbout(activationId)).verdict).toBe(
      "The bank has not answered yet, and the payment waits until it does, because the customer has not paid anything by card before. Nothing has been charged.",
    );
    await fleet.retryJobs();
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.runJobs();
    expect(await fleet.takenAtGateway(activationId)).toEqual({
      ...nothing,
      intents: 1,
      capturedCents: priceCents,
    });
  });

  test("the caps: two of one customer fit exactly, the next waits; three of all fit exactly, the next waits", async () => {
    const [first, second, third] = [
      await fleet.knownCustomersCar(),
      await fleet.knownCustomersCar(),
      await fleet.knownCustomersCar(),
    ];
    const outcomes: string[] = [];
    for (const [car, code] of [
      [first, "heatedSeats"],
      [first, "highwayAssist"],
      [second, "heatedSeats"],
      [third, "heatedSeats"],
    ] as const)
      outcomes.push(await fleet.statusOf(await fleet.buyUnanswered(car, code, "charged")));
    expect(outcomes).toEqual(["presumed", "presumed", "presumed", "pending"]);
    const waiting = await fleet.db
      .selectFrom("payments")
      .where("status", "=", "pending")
      .select("waits_because")
      .execute();
    expect(waiting).toEqual([{ waits_because: "PP7" }]);
    const { open_cents: open } = await fleet.db
      .selectFrom("payment_exposure")
      .where("scope", "=", "all")
      .select("open_cents")
      .executeTakeFirstOrThrow();
    expect(open).toBe(presumption.totalCapCents);
    await fleet.lookUpAfter(10_000);
    await fleet.retryJobs();
  });

  test("not known by its deadline it violates the invariant, and is listed until it is known", async () => {
    const car = await fleet.knownCustomersCar();
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "charged");
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.control("PUT", "/_control/faults", { failNext: { count: 1_000, status: 503 } });
    const { support } = await seedStaff(fleet);
    const listed = async () => (await support.get("/api/invariants")).body;
    expect(await listed()).toMatchObject({
      counts: { moneyWithoutService: 0, serviceWithoutMoney: 0 },
      offenders: [],
      tolerated: [{ activationId, invariant: "serviceWithoutMoney", tolerance: "presumed" }],
    });
    expect(await gauges()).toEqual({
      caas_presumed_open_cents: priceCents,
      'caas_invariant_tolerated{invariant="serviceWithoutMoney",reason="presumed"}': 1,
      'caas_invariant_violations{invariant="serviceWithoutMoney"}': 0,
    });
    await fleet.lookUpAfter(reconcileWithinMs - 1);
    expect(await fleet.differencesOf(activationId)).toEqual(["serviceWithoutMoney presumed"]);
    await fleet.lookUpAfter(1);
    expect(await fleet.differencesOf(activationId)).toEqual(["serviceWithoutMoney violated"]);
    expect(await listed()).toMatchObject({
      counts: { moneyWithoutService: 0, serviceWithoutMoney: 1 },
      offenders: [
        { activationId, paymentStatus: "presumed", timeLine: `/api/activations/${activationId}/explanation` },
      ],
      tolerated: [],
    });
    expect(await gauges()).toEqual({
      caas_presumed_open_cents: priceCents,
      'caas_invariant_tolerated{invariant="serviceWithoutMoney",reason="presumed"}': 0,
      'caas_invariant_violations{invariant="serviceWithoutMoney"}': 1,
    });
    await fleet.control("DELETE", "/_control/faults");
    await fleet.lookUpAfter(hourMs);
    expect(await fleet.differencesOf(activationId)).toEqual([]);
    expect(await fleet.takenAtGateway(activationId)).toEqual({
      ...nothing,
      intents: 1,
      capturedCents: priceCents,
    });
  });
});
