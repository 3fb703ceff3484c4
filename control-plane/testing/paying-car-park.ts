import { startGateway } from "@caas/simulator/stand-ins/gateway/server.ts";
import type { RunningPartner } from "@caas/simulator/stand-ins/shared/partner.ts";
import * as z from "zod";
import { explain } from "../features/activations/explain.ts";
import { findOffenders } from "../features/invariants/find-offenders.ts";
import { invariantRoutes } from "../features/invariants/routes.ts";
import { createPayments } from "../features/payments/payments.ts";
import { verifyStripeWebhook } from "../http/webhook-signatures.ts";
import { createPaymentGateway } from "../partners/payment-gateway.ts";
import { defaultFinalPaymentTerms } from "../rules/final-payment-policy.ts";
import type { PresumptionLimits } from "../rules/presumption-policy.ts";
import { type CarPark, createCarPark, type TestCar } from "./car-park.ts";

// Real agents that apply, a real payment feature, and the gateway's stand-in under it: the whole way of a paid
// service, from the purchase to what became of the money and of the car.

const apiKey = "the key of a test";
const secret = "whsec_the gateway's secret in a test";

const totalsSchema = z.object({
  totals: z.array(
    z.object({
      reference: z.string().nullable(),
      intents: z.int(),
      heldCents: z.int(),
      capturedCents: z.int(),
      refundedCents: z.int(),
      disputedCents: z.int(),
    }),
  ),
});
const entriesSchema = z.array(z.looseObject({ code: z.string() }));

/** What the gateway's own books say of one payment. */
export type Taken = Omit<z.infer<typeof totalsSchema>["totals"][number], "reference">;

export type PayingCarPark = Awaited<ReturnType<typeof createPayingCarPark>>;

/** @param options.webhooks whether the gateway's messages reach the platform; else only look-ups find the truth */
export async function createPayingCarPark(options: { presumption: PresumptionLimits; webhooks: boolean }) {
  // The stand-in lives on the platform's business time, which is not there yet.
  let clock = { now: () => new Date() };
  const gateway: RunningPartner = await startGateway({
    port: 0,
    storePath: ":memory:",
    apiKey,
    clock: { now: () => clock.now() },
    webhook: { baseUrl: "http://127.0.0.1:1", secret, retryBaseMs: 20 },
  });
  // Shorter than the 2 s after which a webhook makes the platform ask: what silence does comes first.
  const paymentGateway = createPaymentGateway({ baseUrl: gateway.url, apiKey, timeoutMs: 1_500 });
  const park: CarPark = await createCarPark({
    bank(context) {
      const payments = createPayments(context, {
        gateway: paymentGateway,
        verifyWebhook: verifyStripeWebhook([secret], context.realClock),
        presumption: options.presumption,
        finalPayment: defaultFinalPaymentTerms,
      });
      return {
        capability: {
          ...payments,
          addRoutes(routing) {
            payments.addRoutes?.(routing);
            invariantRoutes(context, routing);
          },
        },
        handlers: {
          servicePaymentRequested: [payments.onServicePaymentRequested],
          serviceCaptureRequested: [payments.onServiceCaptureRequested],
          serviceVoidRequested: [payments.onServiceVoidRequested],
        },
      };
    },
  });
  const { platform } = park;
  clock = platform.clock;
  if (options.webhooks) await control("PUT", "/_control/webhooks", { baseUrl: park.controlPlaneUrl });

  /** The stand-in's control entrance. */
  async function control(method: string, path: string, body?: object): Promise<unknown> {
    const response = await fetch(`${gateway.url}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${text}`);
    const answer: unknown = text === "" ? null : JSON.parse(text);
    return answer;
  }

  async function lookUpAfter(ms: number): Promise<void> {
    platform.clock.advanceMs(ms);
    await platform.runTimers();
    await platform.runJobs();
  }

  async function paymentOf(activationId: string) {
    return platform.db
      .selectFrom("payments")
      .where("activation_id", "=", activationId)
      .selectAll()
      .executeTakeFirstOrThrow();
  }

  /** Buys, delivers and captures; the activation's id. */
  async function buyAndPay(car: TestCar, code: string): Promise<string> {
    const activationId = await park.buy(car, code);
    await platform.runJobs();
    await park.waitFor(activationId, "ServiceActive");
    await platform.runJobs();
    const { status } = await paymentOf(activationId);
    if (status !== "captured") throw new Error(`the payment is ${status}`);
    return activationId;
  }

  async function codesOf(car: TestCar): Promise<string[]> {
    const { entries } = await platform.db
      .selectFrom("manifests")
      .where("vehicle_id", "=", car.vehicleId)
      .orderBy("version", "desc")
      .limit(1)
      .select("entries")
      .executeTakeFirstOrThrow();
    return entriesSchema.parse(entries).map(({ code }) => code);
  }

  return {
    park,
    control,
    lookUpAfter,
    paymentOf,
    buyAndPay,
    /** The codes of the car's newest manifest. */
    codesOf,
    jobs: () => platform.runJobs(),

    /** A car whose owner has paid for one service by card already. */
    async knownCustomersCar(): Promise<TestCar> {
      const car = await park.addCar();
      await buyAndPay(car, "ambientLight");
      return car;
    },

    /** Buys while the gateway does not answer, whether it does what it is asked or not. */
    async buyUnanswered(car: TestCar, code: string, did: "charged" | "notCharged"): Promise<string> {
      const fault = did === "charged" ? "timeOutAfterDoingNext" : "timeOutBeforeDoingNext";
      // More than one request: look-ups of former payments, due after their webhooks, may come before the charge.
      await control("PUT", "/_control/faults", { [fault]: { count: 100 } });
      const activationId = await park.buy(car, code);
      await platform.runJobs();
      await control("DELETE", "/_control/faults");
      return activationId;
    },

    /** Somebody gives money back in the gateway's own screens. */
    async giveBackAtGateway(gatewayPaymentId: string, amountCents: number): Promise<void> {
      await paymentGateway.refund({ reference: "not of the platform", gatewayPaymentId, amountCents });
    },

    async statusOf(activationId: string): Promise<string> {
      return (await paymentOf(activationId)).status;
    },

    async takenAtGateway(activationId: string): Promise<Taken> {
      const { id } = await paymentOf(activationId);
      const { totals } = totalsSchema.parse(await control("GET", "/_control/charges"));
      const { reference: _reference, ...taken } = totals.find(({ reference }) => reference === id) ?? {
        reference: id,
        intents: 0,
        heldCents: 0,
        capturedCents: 0,
        refundedCents: 0,
        disputedCents: 0,
      };
      return taken;
    },

    /** The ledger's accounts that are not at zero, in cents. */
    async sumsOf(activationId: string): Promise<Record<string, number>> {
      const { id } = await paymentOf(activationId);
      const rows = await platform.db
        .selectFrom("ledger_postings")
        .innerJoin("ledger_transactions", "ledger_transactions.id", "transaction_id")
        .where("payment_id", "=", id)
        .groupBy("account")
        .select((select) => ["account", select.fn.sum<string>("amount_cents").as("cents")])
        .execute();
      return Object.fromEntries(
        rows.flatMap((row) => (Number(row.cents) === 0 ? [] : [[row.account, Number(row.cents)]])),
      );
    },

    async entitlementOf(activationId: string) {
      return platform.db
        .selectFrom("activations")
        .innerJoin("entitlements", "entitlements.id", "activations.entitlement_id")
        .where("activations.id", "=", activationId)
        .select(["entitlements.state", "entitlements.end_reason"])
        .executeTakeFirstOrThrow();
    },

    /** The car is gone and nobody knows it yet: what is sent to it waits until it drives again. */
    async fallSilent(car: TestCar): Promise<void> {
      await car.park();
      const link = platform.db.selectFrom("vehicle_links").where("vehicle_id", "=", car.vehicleId);
      // Its farewell is on its way, and would be believed if it came later.
      while ((await link.select("presence").executeTakeFirstOrThrow()).presence !== "offline");
      await platform.db
        .updateTable("vehicle_links")
        .set({ presence: "online" })
        .where("vehicle_id", "=", car.vehicleId)
        .execute();
    },

    /**
     * Until the car holds what the newest manifest says: its content, for a version that says what the car holds
     * already is never sent. A removal records no step, so the row itself is asked.
     */
    async waitUntilObeyed(car: TestCar): Promise<void> {
      const giveUpAt = Date.now() + 60_000;
      for (;;) {
        const link = await platform.db
          .selectFrom("vehicle_links")
          .where("vehicle_id", "=", car.vehicleId)
          .select(["active_hash", "manifest_hash"])
          .executeTakeFirstOrThrow();
        if (link.active_hash === link.manifest_hash) return;
        if (Date.now() > giveUpAt) throw new Error("the car does not hold its newest manifest");
      }
    },

    async differencesOf(activationId: string): Promise<string[]> {
      const all = await findOffenders(platform.db, platform.clock.now());
      return all.flatMap((one) =>
        one.activationId === activationId ? [`${one.invariant} ${one.tolerance ?? "violated"}`] : [],
      );
    },

    /** Rows of the messages that were due about it, in order. */
    messagesAbout(activationId: string): string[] {
      return platform.published.flatMap(({ name, event }) =>
        name === "notificationDue" && event.subject.activationId === activationId ? [event.row] : [],
      );
    },

    async wordsAbout(activationId: string) {
      const explanation = await explain(platform.db, activationId);
      if (explanation === undefined) throw new Error("nothing is known of it");
      const inWords = explanation.timeLine.flatMap((moment) =>
        moment.inWords === null ? [] : [moment.inWords],
      );
      return { ...explanation, inWords };
    },

    async close(): Promise<void> {
      await park.close();
      await gateway.close();
    },
  };
}
