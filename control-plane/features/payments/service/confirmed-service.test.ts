import { hourMs } from "@caas/contract/durations.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type PaidFleet, startPaidFleet } from "../../../testing/fixtures/paid-fleet.ts";
import { signInBuyer } from "../../../testing/fixtures/sales.ts";

const priceCents = 1_900;

let fleet: PaidFleet;
beforeAll(async () => {
  const presumption = { maxAmountCents: 5_000, customerCapCents: 5_000, totalCapCents: 10_000 };
  fleet = await startPaidFleet({ presumption, webhooks: true });
});
afterAll(() => fleet?.close());
afterEach(async () => {
  await fleet.control("DELETE", "/_control/faults");
  await turnCard("approve");
});

/** The card of every customer of this fleet. */
const turnCard = (behaviour: string, more: { code?: string; times?: number } = {}) =>
  fleet.control("PUT", "/_control/cards/pm_card_visa", { behaviour, ...more });

async function confirm(activationId: string, outcome: "confirm" | "fail"): Promise<void> {
  const { confirm_url: url } = await fleet.paymentOf(activationId);
  const reply = await fetch(`${url}/${outcome}`, { method: "POST", redirect: "manual" });
  expect(reply.status).toBe(303);
}

/** With the waiting time of look-ups after a webhook over. */
async function untilState(activationId: string, state: string): Promise<void> {
  await fleet.waitUntil(`${activationId} becomes ${state}`, async () => {
    await fleet.retryJobs();
    return (await fleet.stateOf(activationId)) === state ? true : undefined;
  });
}

async function untilStatus(activationId: string, status: string): Promise<void> {
  await fleet.waitUntil(`the payment becomes ${status}`, async () => {
    await fleet.retryJobs();
    return (await fleet.statusOf(activationId)) === status ? true : undefined;
  });
}

function mailed(activationId: string): string[] {
  return fleet.published.flatMap((one) =>
    one.name === "notificationDue" && one.event.subject.activationId === activationId ? [one.event.row] : [],
  );
}

describe("the bank wants the customer to confirm a service's payment", () => {
  test("nothing goes over the air until they have; then it is held, delivered and taken, once [F7]", async () => {
    const car = await fleet.addCar();
    await turnCard("authenticate");
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.runJobs();
    expect([await fleet.statusOf(activationId), await fleet.stateOf(activationId)]).toEqual([
      "unconfirmed",
      "PaymentInitiated",
    ]);
    expect(await fleet.codesOf(car).catch(() => [])).toEqual([]);
    expect(mailed(activationId)).toEqual(["NX9"]);
    expect((await fleet.wordsAbout(activationId)).verdict).toBe(
      "The bank waits for the customer to confirm the payment. Nothing has been charged.",
    );
    const customer = await signInBuyer(fleet, car);
    expect(await customer.get(`/api/activations/${activationId}/payment`)).toMatchObject({
      status: 200,
      body: { status: "unconfirmed", confirmation: { url: expect.stringContaining("/confirm/pi_") } },
    });
    const stranger = await signInBuyer(fleet, await fleet.addCar());
    expect((await stranger.get(`/api/activations/${activationId}/payment`)).status).toBe(404);
    await confirm(activationId, "confirm");
    await untilState(activationId, "ServiceActive");
    await untilStatus(activationId, "captured");
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({
      intents: 1,
      heldCents: 0,
      capturedCents: priceCents,
    });
  });

  test("one who does not is reminded once, and the purchase ends as refused [F7]", async () => {
    const car = await fleet.addCar();
    await turnCard("authenticate");
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.runJobs();
    await fleet.lookUpAfter(12 * hourMs);
    expect(mailed(activationId)).toEqual(["NX9", "NX10"]);
    await fleet.lookUpAfter(12 * hourMs);
    expect(await fleet.paymentOf(activationId)).toMatchObject({
      status: "declined",
      decline_reason: "confirmationExpired",
    });
    expect(await fleet.stateOf(activationId)).toBe("PaymentFailed");
    expect((await fleet.wordsAbout(activationId)).verdict).toContain(
      "is not active: its payment was not confirmed at the bank in time. Nothing was charged.",
    );
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
  });

  test("confirmed in time and its webhook lost: the end of the time finds the hold, and the service comes [F7]", async () => {
    const car = await fleet.addCar();
    await turnCard("authenticate");
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.runJobs();
    await fleet.lookUpAfter(12 * hourMs);
    await fleet.control("PUT", "/_control/faults", { dropWebhooksNext: { count: 4 } });
    await confirm(activationId, "confirm");
    expect(await fleet.statusOf(activationId)).toBe("unconfirmed");
    await fleet.lookUpAfter(12 * hourMs);
    await untilStatus(activationId, "captured");
    expect(await fleet.stateOf(activationId)).toBe("ServiceActive");
  });

  test("a purchase that is given up meanwhile cannot be confirmed any more: nothing is held [F7]", async () => {
    const car = await fleet.addCar();
    await turnCard("authenticate");
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.runJobs();
    await fleet.db
      .transaction()
      .execute((tx) => fleet.activations.cancel(tx, activationId, { kind: "customer", id: car.customerId }));
    await fleet.runJobs();
    expect([await fleet.statusOf(activationId), await fleet.stateOf(activationId)]).toEqual([
      "voided",
      "NoCharge",
    ]);
    const { confirm_url: url } = await fleet.paymentOf(activationId);
    expect((await fetch(`${url}/confirm`, { method: "POST" })).status).toBe(400);
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
  });

  test("a presumed payment that waits for a confirmation holds no money: the service is taken back [F7, FA4]", async () => {
    const car = await fleet.knownCustomersCar();
    await turnCard("authenticate");
    const activationId = await fleet.buyUnanswered(car, "heatedSeats", "charged");
    await fleet.lookUpAfter(10_000);
    expect(await fleet.paymentOf(activationId)).toMatchObject({
      status: "declined",
      decline_reason: "authentication_required",
      confirm_url: null,
    });
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
    const { gateway_payment_id: id } = await fleet.paymentOf(activationId);
    expect(await fleet.partners.gateway.retrieve(id ?? "")).toMatchObject({ status: "released" });
  });
});

describe("nobody said no to a service's payment", () => {
  test("an error of the card networks is tried again, with the same payment [F8]", async () => {
    const car = await fleet.addCar();
    await turnCard("failForNow", { code: "processing_error", times: 1 });
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.runJobs();
    expect([await fleet.statusOf(activationId), await fleet.stateOf(activationId)]).toEqual([
      "pending",
      "PaymentInitiated",
    ]);
    await untilState(activationId, "ServiceActive");
    await untilStatus(activationId, "captured");
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ intents: 1, capturedCents: priceCents });
  });

  test("a hold whose capture fails for now is taken by another try: the service stays [F8]", async () => {
    const car = await fleet.addCar();
    await turnCard("declineCapture", { code: "processing_error", times: 1 });
    const activationId = await fleet.buy(car, "heatedSeats");
    await untilState(activationId, "ServiceActive");
    await untilStatus(activationId, "captured");
    expect(await fleet.takenAtGateway(activationId)).toMatchObject({ intents: 1, capturedCents: priceCents });
    expect(await fleet.codesOf(car)).toEqual(["heatedSeats"]);
  });

  test("a card that may not be used again ends the purchase with that reason, and another card buys it [F9]", async () => {
    const car = await fleet.addCar();
    await turnCard("refuseRequest");
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.runJobs();
    expect(await fleet.paymentOf(activationId)).toMatchObject({ decline_reason: "paymentMethodNotUsable" });
    expect(await fleet.stateOf(activationId)).toBe("PaymentFailed");
    expect((await fleet.wordsAbout(activationId)).verdict).toContain(
      "its payment could not be made, though no bank refused it (paymentMethodNotUsable)",
    );
    await turnCard("approve");
    const second = await fleet.buy(car, "heatedSeats");
    await fleet.runJobs();
    expect(await fleet.statusOf(second)).not.toBe("declined");
  });
});
