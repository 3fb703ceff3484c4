import { hourMs } from "@caas/contract/durations.ts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { GatewayPayment } from "../../../partners/payment-gateway.ts";
import {
  gatewaySilenceMs,
  lastAskMarginMs,
  reconcileWithinMs,
  searchSettlesAfterMs,
} from "../../../rules/presumption-policy.ts";
import {
  type PresumedPayments,
  priceCents,
  startPresumedPayments,
} from "../../../testing/fixtures/presumed-payments.ts";
import { hearAnswers } from "../hear.ts";
import { lookUpTimer } from "./presumptions.ts";

let platform: PresumedPayments;
beforeAll(async () => {
  platform = await startPresumedPayments("presumption_truth");
});
afterAll(() => platform?.close());

let customerId: string;
beforeEach(async () => {
  customerId = await platform.meetPayer();
});
afterEach(() => platform.gateway("DELETE", "/_control/faults"));

describe("the truth is found out [FA5]", () => {
  test.each(["charged", "notCharged"] as const)(
    "%s: the first look-up confirms it, with one hold, and gives the exposure back",
    async (did) => {
      const activationId = await platform.presume(did);
      await platform.lookUpAfter(9_999);
      expect(await platform.presumptionOf(activationId)).toMatchObject({ outcome: "open" });
      await platform.lookUpAfter(1);
      expect(await platform.presumptionOf(activationId)).toEqual({ outcome: "confirmed", reason: null });
      expect((await platform.paymentOf(activationId)).status).toBe("authorised");
      expect(await platform.atGateway(activationId)).toMatchObject({ intents: 1, heldCents: priceCents });
      expect(await platform.openCents()).toBe(0);
      expect(platform.toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentConfirmed"]);
      expect(await platform.balancesOf(activationId)).toEqual({
        cardHolds: priceCents,
        cardHoldsContra: -priceCents,
      });
    },
  );

  test("proved by the car before it is known: the money is taken as soon as it is, once", async () => {
    const activationId = await platform.presume("charged");
    await platform.publish("serviceCaptureRequested", { activationId });
    await platform.publish("serviceCaptureRequested", { activationId });
    expect(await platform.runJobs()).toBe(0);
    expect((await platform.paymentOf(activationId)).status).toBe("presumed");
    expect(await platform.atGateway(activationId)).toMatchObject({ capturedCents: 0 });
    await platform.lookUpAfter(10_000);
    expect((await platform.paymentOf(activationId)).status).toBe("captured");
    expect(await platform.atGateway(activationId)).toMatchObject({
      intents: 1,
      heldCents: 0,
      capturedCents: priceCents,
    });
    expect(await platform.openCents()).toBe(0);
    expect(platform.toldAbout(activationId)).toEqual([
      "servicePaymentPresumed",
      "servicePaymentConfirmed",
      "servicePaymentCaptured",
    ]);
  });

  test("declined: it is taken back, with the bank's reason, and nothing was taken", async () => {
    const activationId = await platform.presume("notCharged", "pm_card_chargeDeclined");
    await platform.publish("serviceCaptureRequested", { activationId });
    // Decided before the truth is found: the other order is another case.
    await platform.runJobs();
    await platform.lookUpAfter(10_000);
    expect(await platform.presumptionOf(activationId)).toEqual({
      outcome: "compensated",
      reason: "generic_decline",
    });
    expect(await platform.paymentOf(activationId)).toMatchObject({
      status: "declined",
      decline_reason: "generic_decline",
    });
    expect(await platform.openCents()).toBe(0);
    expect(await platform.balancesOf(activationId)).toEqual({});
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentRefuted"]);
    // Known: nobody looks any more.
    const lookUps = platform.db.selectFrom("timers").where("kind", "=", lookUpTimer).select("subject_id");
    expect(await lookUps.execute()).toEqual([]);
  });

  test("not there in the last hour, it is not asked for again; not there at the deadline, it was never made", async () => {
    const activationId = await platform.presume("notCharged");
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1, status: 503 } });
    await platform.lookUpAfter(reconcileWithinMs - lastAskMarginMs);
    expect(await platform.presumptionOf(activationId)).toMatchObject({ outcome: "open" });
    await platform.lookUpAfter(lastAskMarginMs - 1);
    expect(await platform.presumptionOf(activationId)).toMatchObject({ outcome: "open" });
    expect(await platform.atGateway(activationId)).toMatchObject({ intents: 0 });
    await platform.lookUpAfter(1);
    expect(await platform.presumptionOf(activationId)).toEqual({
      outcome: "compensated",
      reason: "neverMade",
    });
    expect(await platform.atGateway(activationId)).toMatchObject({ intents: 0 });
    expect(await platform.openCents()).toBe(0);
  });

  test("found at the deadline by its activation, though somebody changed its reference at the gateway", async () => {
    const activationId = await platform.presume("notCharged");
    await platform.partners.gateway.pay({
      reference: "changed by hand",
      amountCents: priceCents,
      currency: "EUR",
      paymentMethod: "pm_card_visa",
      mode: "hold",
      customer: null,
      returnUrl: "https://app.example",
      description: "the same payment",
      metadata: { kind: "service", customer: customerId, activation: activationId },
    });
    await platform.lookUpAfter(reconcileWithinMs);
    expect(await platform.presumptionOf(activationId)).toEqual({ outcome: "confirmed", reason: null });
  });

  test("a gateway that stays down leaves it open beyond its deadline, and is asked hourly until it is back", async () => {
    const activationId = await platform.presume("charged");
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1_000, status: 503 } });
    await platform.lookUpAfter(reconcileWithinMs);
    await platform.lookUpAfter(hourMs);
    expect(await platform.presumptionOf(activationId)).toMatchObject({ outcome: "open" });
    expect(await platform.openCents()).toBe(priceCents);
    await platform.gateway("DELETE", "/_control/faults");
    await platform.lookUpAfter(hourMs);
    expect(await platform.presumptionOf(activationId)).toMatchObject({ outcome: "confirmed" });
  });

  test("while the gateway is silent one look-up finds it out for all, so that other jobs need not wait", async () => {
    const activationIds = [
      await platform.presume("charged"),
      await platform.presume("charged"),
      await platform.presume("charged"),
    ];
    await platform.gateway("PUT", "/_control/faults", { failNext: { count: 1, status: 503 } });
    await platform.lookUpAfter(10_000);
    // The first was not answered; the others, which would have been, did not ask.
    const outcomes = async () =>
      (await Promise.all(activationIds.map(platform.presumptionOf))).map(
        (presumption) => presumption?.outcome,
      );
    expect(await outcomes()).toEqual(["open", "open", "open"]);
    await platform.lookUpAfter(gatewaySilenceMs);
    expect(await outcomes()).toEqual(["confirmed", "confirmed", "confirmed"]);
  });

  test("given up while it is presumed: the hold found later is let go, and nobody is told of it", async () => {
    const activationId = await platform.presume("charged");
    await platform.publish("serviceVoidRequested", { activationId });
    await platform.runJobs();
    await platform.lookUpAfter(10_000);
    expect((await platform.paymentOf(activationId)).status).toBe("voided");
    expect(await platform.atGateway(activationId)).toMatchObject({
      intents: 1,
      heldCents: 0,
      capturedCents: 0,
    });
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentVoided"]);
    expect([await platform.openCents(), await platform.balancesOf(activationId)]).toEqual([0, {}]);
  });

  test("given up, and the gateway knows of nothing: no money is held for it any more, and it is soon decided", async () => {
    const activationId = await platform.presume("notCharged");
    await platform.publish("serviceVoidRequested", { activationId });
    await platform.runJobs();
    await platform.lookUpAfter(searchSettlesAfterMs - 1);
    expect(await platform.presumptionOf(activationId)).toMatchObject({ outcome: "open" });
    await platform.lookUpAfter(searchSettlesAfterMs);
    expect(await platform.presumptionOf(activationId)).toEqual({ outcome: "dropped", reason: "neverMade" });
    expect(await platform.atGateway(activationId)).toMatchObject({ intents: 0 });
    expect(await platform.openCents()).toBe(0);
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentVoided"]);
  });

  test("two answers at the same moment settle it once and give the exposure back once", async () => {
    const activationId = await platform.presume("charged");
    const { id } = await platform.paymentOf(activationId);
    const gatewayPaymentId = `pi_${id}`;
    const captureBefore = new Date(platform.clock.now().getTime() + 7 * reconcileWithinMs);
    await Promise.all(
      Array.from({ length: 8 }, () =>
        platform.db
          .transaction()
          .execute((tx) =>
            hearAnswers(platform.context, tx, [
              { paymentId: id, answer: { status: "held", gatewayPaymentId, captureBefore } },
            ]),
          ),
      ),
    );
    expect(await platform.openCents()).toBe(0);
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentConfirmed"]);
  });

  test("a hold that turns up after it was called nonexistent is let go", async () => {
    const activationId = await platform.presume("charged");
    const { id } = await platform.paymentOf(activationId);
    const release = (answer: GatewayPayment) =>
      platform.db
        .transaction()
        .execute((tx) => hearAnswers(platform.context, tx, [{ paymentId: id, answer }]));
    await release({ status: "declined", gatewayPaymentId: null, reason: "neverMade" });
    const answer = await platform.gateway("GET", "/_control/store");
    const intents =
      answer !== null && typeof answer === "object" && "paymentIntents" in answer
        ? answer.paymentIntents
        : [];
    if (!Array.isArray(intents)) throw new Error("the gateway holds no intents");
    const stray = intents.find((intent) => intent.metadata.reference === id);
    await release({ status: "held", gatewayPaymentId: stray.id, captureBefore: new Date() });
    expect(await platform.runJobs()).toBe(0);
    expect(await platform.atGateway(activationId)).toMatchObject({ heldCents: 0, capturedCents: 0 });
    expect(platform.toldAbout(activationId)).toEqual(["servicePaymentPresumed", "servicePaymentRefuted"]);
  });
});
