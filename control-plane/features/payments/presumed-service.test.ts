import { startGateway } from "@caas/simulator/partners/gateway/server.ts";
import type { RunningPartner } from "@caas/simulator/partners/shared/partner.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { verifyStripeWebhook } from "../../http/webhook-signatures.ts";
import { createPaymentGateway } from "../../partners/payment-gateway.ts";
import { reconcileWithinMs } from "../../rules/presumption-policy.ts";
import { type CarPark, createCarPark, type TestCar } from "../../testing/car-park.ts";
import { explain } from "../activations/explain.ts";
import { findOffenders } from "../invariants/find-offenders.ts";
import { createPayments } from "./payments.ts";

// The whole way: the gateway's stand-in that does not answer, real agents that apply, and what becomes of both.

const apiKey = "the key of a test";
const secret = "whsec_the gateway's secret in a test";
const priceCents = 1_900;
/** Two services of one customer fit, a third does not; three of all customers fit. */
const presumption = {
  maxAmountCents: 5_000,
  customerCapCents: 2 * priceCents,
  totalCapCents: 3 * priceCents,
};

let park: CarPark;
let gateway: RunningPartner;
beforeAll(async () => {
  // On the platform's business time, which is not there yet: holds end a week after it.
  let clock = { now: () => new Date() };
  gateway = await startGateway({
    port: 0,
    storePath: ":memory:",
    apiKey,
    clock: { now: () => clock.now() },
    webhook: { baseUrl: "http://127.0.0.1:1", secret, retryBaseMs: 1_000 },
  });
  park = await createCarPark({
    bank(context) {
      const payments = createPayments(context, {
        gateway: createPaymentGateway({ baseUrl: gateway.url, apiKey, timeoutMs: 1_000 }),
        verifyWebhook: verifyStripeWebhook([secret], context.realClock),
        presumption,
      });
      return {
        capability: payments,
        handlers: {
          servicePaymentRequested: [payments.onServicePaymentRequested],
          serviceCaptureRequested: [payments.onServiceCaptureRequested],
          serviceVoidRequested: [payments.onServiceVoidRequested],
        },
      };
    },
  });
  clock = park.platform.clock;
});
afterAll(async () => {
  await park?.close();
  await gateway?.close();
});
afterEach(async () => {
  await control("DELETE", "/_control/faults");
  await settleAll();
});

async function control(method: string, path: string, body?: object): Promise<unknown> {
  const response = await fetch(`${gateway.url}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
  return text === "" ? null : JSON.parse(text);
}

const jobs = () => park.platform.runJobs();

/** Everything presumed is found out, so that one test's exposure is not another's. */
async function settleAll(): Promise<void> {
  await lookUpAfter(10_000);
}

async function lookUpAfter(ms: number): Promise<void> {
  park.platform.clock.advanceMs(ms);
  await park.platform.runTimers();
  await jobs();
}

/** A car whose owner has paid for one service by card already. */
async function knownCustomersCar(): Promise<TestCar> {
  const car = await park.addCar();
  const first = await park.buy(car, "ambientLight");
  await jobs();
  await park.waitFor(first, "ServiceActive");
  await jobs();
  expect(await statusOf(first)).toBe("captured");
  return car;
}

/** Buys while the gateway does not answer, whether it does what it is asked or not. */
async function buyUnanswered(car: TestCar, code: string, did: "charged" | "notCharged"): Promise<string> {
  const fault = did === "charged" ? "timeOutAfterDoingNext" : "timeOutBeforeDoingNext";
  await control("PUT", "/_control/faults", { [fault]: { count: 1 } });
  const activationId = await park.buy(car, code);
  await jobs();
  return activationId;
}

async function paymentOf(activationId: string) {
  return park.platform.db
    .selectFrom("payments")
    .where("activation_id", "=", activationId)
    .selectAll()
    .executeTakeFirstOrThrow();
}
const statusOf = async (activationId: string) => (await paymentOf(activationId)).status;

async function presenceOf({ vehicleId }: TestCar): Promise<string> {
  const row = await park.platform.db
    .selectFrom("vehicle_links")
    .where("vehicle_id", "=", vehicleId)
    .select("presence")
    .executeTakeFirstOrThrow();
  return row.presence;
}

async function takenAtGateway(activationId: string) {
  const { id } = await paymentOf(activationId);
  const { totals } = (await control("GET", "/_control/charges")) as {
    totals: { reference: string; intents: number; heldCents: number; capturedCents: number }[];
  }; // the stand-in's own answer
  const { intents, heldCents, capturedCents } = totals.find(({ reference }) => reference === id) ?? {
    intents: 0,
    heldCents: 0,
    capturedCents: 0,
  };
  return { intents, heldCents, capturedCents };
}

async function sumsOf(activationId: string): Promise<Record<string, number>> {
  const { id } = await paymentOf(activationId);
  const rows = await park.platform.db
    .selectFrom("ledger_postings")
    .innerJoin("ledger_transactions", "ledger_transactions.id", "transaction_id")
    .where("payment_id", "=", id)
    .groupBy("account")
    .select((select) => ["account", select.fn.sum<string>("amount_cents").as("cents")])
    .execute();
  return Object.fromEntries(
    rows.flatMap((row) => (Number(row.cents) === 0 ? [] : [[row.account, Number(row.cents)]])),
  );
}

async function entitlementOf(activationId: string) {
  return park.platform.db
    .selectFrom("activations")
    .innerJoin("entitlements", "entitlements.id", "activations.entitlement_id")
    .where("activations.id", "=", activationId)
    .select(["entitlements.state", "entitlements.end_reason"])
    .executeTakeFirstOrThrow();
}

/** The codes of the newest manifest, and until when the car may apply what is unproved in it. */
async function manifestOf(car: TestCar) {
  const { entries } = await park.platform.db
    .selectFrom("manifests")
    .where("vehicle_id", "=", car.vehicleId)
    .orderBy("version", "desc")
    .limit(1)
    .select("entries")
    .executeTakeFirstOrThrow();
  return (entries as { code: string; applyBefore?: string }[]).map(({ code, applyBefore }) => ({
    code,
    applyBefore: applyBefore ?? null,
  })); // written by manifestEntrySchema
}
const codesOf = async (car: TestCar) => (await manifestOf(car)).map(({ code }) => code).sort();

/** Until the car holds what the newest manifest says. A removal records no step, so the row itself is asked. */
async function waitUntilObeyed(car: TestCar): Promise<void> {
  const giveUpAt = Date.now() + 20_000;
  for (;;) {
    const link = await park.platform.db
      .selectFrom("vehicle_links")
      .where("vehicle_id", "=", car.vehicleId)
      .select(["active_version", "manifest_version"])
      .executeTakeFirstOrThrow();
    if (link.active_version === link.manifest_version) return;
    if (Date.now() > giveUpAt) throw new Error("the car does not hold its newest manifest");
  }
}

async function differencesOf(activationId: string): Promise<string[]> {
  const all = await findOffenders(park.platform.db, park.platform.clock.now());
  return all.flatMap((one) =>
    one.activationId === activationId ? [`${one.invariant} ${one.tolerance ?? "violated"}`] : [],
  );
}

function messagesAbout(activationId: string): string[] {
  return park.platform.published.flatMap(({ name, event }) =>
    name === "notificationDue" && event.subject.activationId === activationId ? [event.row] : [],
  );
}

async function wordsAbout(activationId: string) {
  const explanation = await explain(park.platform.db, activationId);
  if (explanation === undefined) throw new Error("nothing is known of it");
  const inWords = explanation.timeLine.flatMap((moment) => (moment.inWords === null ? [] : [moment.inWords]));
  return { ...explanation, inWords };
}

describe("FA4, FA5, fault 24: a service is delivered although the bank did not answer", () => {
  test("it did charge: delivered on the presumption, confirmed by a look-up, captured on the car's proof, once", async () => {
    const car = await knownCustomersCar();
    await car.park();
    const activationId = await buyUnanswered(car, "heatedSeats", "charged");
    expect([await statusOf(activationId), await park.stateOf(activationId)]).toEqual([
      "presumed",
      "OTAQueue",
    ]);
    const knownBy = new Date(park.platform.clock.now().getTime() + reconcileWithinMs).toISOString();
    expect((await wordsAbout(activationId)).verdict).toBe(
      `The bank has not answered yet, so its payment is presumed until ${knownBy}; the service waits until the car is online and free. Nothing has been charged.`,
    );
    expect(await differencesOf(activationId)).toEqual(["moneyWithoutService presumed"]);

    await car.drive();
    await park.waitFor(activationId, "ServiceActive");
    await jobs();
    expect(await takenAtGateway(activationId)).toEqual({
      intents: 1,
      heldCents: priceCents,
      capturedCents: 0,
    });
    expect(await differencesOf(activationId)).toEqual(["serviceWithoutMoney presumed"]);
    expect((await wordsAbout(activationId)).verdict).toContain("nothing has been charged so far");

    await lookUpAfter(10_000);
    expect(await statusOf(activationId)).toBe("captured");
    expect(await takenAtGateway(activationId)).toEqual({
      intents: 1,
      heldCents: 0,
      capturedCents: priceCents,
    });
    expect(await differencesOf(activationId)).toEqual([]);
    const words = await wordsAbout(activationId);
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
    const car = await knownCustomersCar();
    car.adapter.faults.rejects = "not now";
    const activationId = await buyUnanswered(car, "heatedSeats", "charged");
    const carried = await park.platform.db
      .selectFrom("manifests")
      .where("activation_id", "=", activationId)
      .select("entries")
      .executeTakeFirstOrThrow();
    const knownBy = new Date(park.platform.clock.now().getTime() + reconcileWithinMs).toISOString();
    expect(carried.entries).toContainEqual(
      expect.objectContaining({ code: "heatedSeats", applyBefore: knownBy }),
    );
    await park.waitFor(activationId, "CustomerNotified");
    await settleAll();
    expect([await park.stateOf(activationId), await statusOf(activationId)]).toEqual(["NoCharge", "voided"]);
    expect(await takenAtGateway(activationId)).toEqual({ intents: 1, heldCents: 0, capturedCents: 0 });
  });

  test("it did not charge: the same key is asked again, and the hold of that answer pays", async () => {
    const car = await knownCustomersCar();
    const activationId = await buyUnanswered(car, "heatedSeats", "notCharged");
    await park.waitFor(activationId, "ServiceActive");
    await jobs();
    expect(await takenAtGateway(activationId)).toEqual({ intents: 0, heldCents: 0, capturedCents: 0 });
    await lookUpAfter(10_000);
    expect(await statusOf(activationId)).toBe("captured");
    expect(await takenAtGateway(activationId)).toEqual({
      intents: 1,
      heldCents: 0,
      capturedCents: priceCents,
    });
  });

  test("declined when it is asked again, and the car has applied it: the next manifest lacks it, it ends with its reason, nobody paid, the customer is told", async () => {
    const car = await knownCustomersCar();
    const card = "pm_card_visa";
    const activationId = await buyUnanswered(car, "heatedSeats", "notCharged");
    await park.waitFor(activationId, "ServiceActive");
    expect(await codesOf(car)).toContain("heatedSeats");
    await control("PUT", `/_control/cards/${card}`, { behaviour: "decline" });
    await lookUpAfter(10_000);
    await control("PUT", `/_control/cards/${card}`, { behaviour: "approve" });
    expect(await codesOf(car)).not.toContain("heatedSeats");
    await waitUntilObeyed(car);
    expect(await entitlementOf(activationId)).toEqual({ state: "ended", end_reason: "lateDecline" });
    expect(await takenAtGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
    expect(await sumsOf(activationId)).toEqual({});
    expect(messagesAbout(activationId)).toContain("NX2");
    expect(messagesAbout(activationId)).not.toContain("NT5");
    expect(await differencesOf(activationId)).toEqual([]);
    const words = await wordsAbout(activationId);
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
    const car = await knownCustomersCar();
    await car.park();
    const activationId = await buyUnanswered(car, "heatedSeats", "notCharged");
    await control("PUT", "/_control/cards/pm_card_visa", { behaviour: "decline" });
    await lookUpAfter(10_000);
    await control("PUT", "/_control/cards/pm_card_visa", { behaviour: "approve" });
    expect(await park.stateOf(activationId)).toBe("PaymentFailed");
    expect(await entitlementOf(activationId)).toEqual({ state: "ended", end_reason: "presumptionRefuted" });
    expect(messagesAbout(activationId)).toEqual(["NX3"]);
    expect((await wordsAbout(activationId)).verdict).toBe(
      "heatedSeats is not active: the bank did not answer, its payment was presumed, and it was then refused (generic_decline); so what had begun was taken back. Nothing was charged.",
    );
    await car.drive();
    await waitUntilObeyed(car);
    expect(await codesOf(car)).not.toContain("heatedSeats");
  });

  test("refuted while the car's proof is on its way: the entry leaves with the next version, and the late proof charges nobody", async () => {
    const car = await knownCustomersCar();
    // Silent, and nobody knows it yet: the version with the entry is written, and its proof does not come.
    await car.park();
    await expect.poll(() => presenceOf(car)).toBe("offline");
    await park.platform.db
      .updateTable("vehicle_links")
      .set({ presence: "online" })
      .where("vehicle_id", "=", car.vehicleId)
      .execute();
    const activationId = await buyUnanswered(car, "heatedSeats", "notCharged");
    expect(await park.stateOf(activationId)).toBe("OTAAttempt");
    await control("PUT", "/_control/cards/pm_card_visa", { behaviour: "decline" });
    await lookUpAfter(10_000);
    await control("PUT", "/_control/cards/pm_card_visa", { behaviour: "approve" });
    expect(await park.stateOf(activationId)).toBe("PaymentFailed");
    expect(await codesOf(car)).not.toContain("heatedSeats");
    await car.drive();
    await waitUntilObeyed(car);
    await jobs();
    expect(await takenAtGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
  });

  test("a customer without an earlier capture waits, and nothing is delivered until the bank is heard", async () => {
    const car = await park.addCar();
    const activationId = await buyUnanswered(car, "heatedSeats", "charged");
    expect([await statusOf(activationId), await park.stateOf(activationId)]).toEqual([
      "pending",
      "PaymentInitiated",
    ]);
    expect(await codesOf(car).catch(() => [])).not.toContain("heatedSeats");
    expect((await wordsAbout(activationId)).verdict).toBe(
      "The bank has not answered yet, and the payment waits until it does, because the customer has not paid anything by card before. Nothing has been charged.",
    );
    await park.platform.retryJobs();
    await park.waitFor(activationId, "ServiceActive");
    await jobs();
    expect(await takenAtGateway(activationId)).toEqual({
      intents: 1,
      heldCents: 0,
      capturedCents: priceCents,
    });
  });

  test("the caps: two of one customer fit exactly, the next waits; three of all fit exactly, the next waits", async () => {
    const [first, second, third] = [
      await knownCustomersCar(),
      await knownCustomersCar(),
      await knownCustomersCar(),
    ];
    const outcomes: string[] = [];
    for (const [car, code] of [
      [first, "heatedSeats"],
      [first, "highwayAssist"],
      [second, "heatedSeats"],
      [third, "heatedSeats"],
    ] as const)
      outcomes.push(await statusOf(await buyUnanswered(car, code, "charged")));
    expect(outcomes).toEqual(["presumed", "presumed", "presumed", "pending"]);
    const waiting = await park.platform.db
      .selectFrom("payments")
      .where("status", "=", "pending")
      .select("waits_because")
      .execute();
    expect(waiting).toEqual([{ waits_because: "PP7" }]);
    const { open_cents: open } = await park.platform.db
      .selectFrom("payment_exposure")
      .where("scope", "=", "all")
      .select("open_cents")
      .executeTakeFirstOrThrow();
    expect(Number(open)).toBe(presumption.totalCapCents);
    await settleAll();
    await park.platform.retryJobs();
  });

  test("not known by its deadline it violates the invariant, and is listed until it is known", async () => {
    const car = await knownCustomersCar();
    const activationId = await buyUnanswered(car, "heatedSeats", "charged");
    await park.waitFor(activationId, "ServiceActive");
    await control("PUT", "/_control/faults", { failNext: { count: 1_000, status: 503 } });
    await lookUpAfter(reconcileWithinMs - 1);
    expect(await differencesOf(activationId)).toEqual(["serviceWithoutMoney presumed"]);
    await lookUpAfter(1);
    expect(await differencesOf(activationId)).toEqual(["serviceWithoutMoney violated"]);
    await control("DELETE", "/_control/faults");
    await lookUpAfter(3_600_000);
    expect(await differencesOf(activationId)).toEqual([]);
    expect(await takenAtGateway(activationId)).toEqual({
      intents: 1,
      heldCents: 0,
      capturedCents: priceCents,
    });
  });
});
