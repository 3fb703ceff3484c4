import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chargeSchema, disputeSchema, intentSchema } from "@caas/simulator/stand-ins/gateway/objects.ts";
import { openStore } from "@caas/simulator/stand-ins/shared/store.ts";
import { describe, expect, test } from "vitest";
import { type GatewayIntent, readGatewayStore } from "../lab/gateway-books.ts";
import { audit, nothingFound } from "./audit.ts";
import type { Evidence, Shown } from "./evidence.ts";

// An auditor that finds nothing proves nothing: each doctored store below must be found out.

const forgedOffset = 1_000_000;

const intentOf = (activationId: string | null, change: Partial<GatewayIntent> = {}): GatewayIntent => ({
  ...{ id: `pi_${activationId}`, activationId, status: "succeeded", capturedCents: 101 },
  ...{ refundedCents: 0, disputedCents: 0, networkErrors: 0 },
  ...change,
});
const shownOf = (activationId: string, vin: string, state: string, change: Partial<Shown> = {}): Shown => ({
  ...{ activationId, vin, serviceCode: "paid1", state, withdrawnBecause: null },
  ...change,
});

/** Four requests as they should end: one active and paid, one given up and let go, one denied, one charged back. */
function sound(): Evidence {
  const request = { priceCents: 101, serviceCode: "paid1", withdrawnBecause: null };
  return {
    asked: [
      { ...request, vin: "CAR-A", activationId: "a", end: "active" },
      { ...request, vin: "CAR-B", activationId: "b", end: "gaveUp" },
      { ...request, vin: "CAR-C", activationId: "c", end: "denied" },
      { ...request, vin: "CAR-D", activationId: "d", end: "withdrawn", withdrawnBecause: "chargeBack" },
    ],
    shown: [
      shownOf("a", "CAR-A", "ServiceActive"),
      shownOf("b", "CAR-B", "NoCharge"),
      shownOf("c", "CAR-C", "ServiceDenied"),
      shownOf("d", "CAR-D", "ServiceActive", { withdrawnBecause: "chargeBack" }),
    ],
    intents: [
      intentOf("a"),
      intentOf("b", { status: "canceled", capturedCents: 0 }),
      intentOf("d", { disputedCents: 101 }),
    ],
    cars: [
      { vin: "CAR-A", hash: "one", wantedHash: "one", codes: ["paid1"], wantedCodes: ["paid1"] },
      { vin: "CAR-B", hash: "none", wantedHash: "none", codes: [], wantedCodes: [] },
      { vin: "CAR-C", hash: "none", wantedHash: "none", codes: [], wantedCodes: [] },
      { vin: "CAR-D", hash: "none", wantedHash: "none", codes: [], wantedCodes: [] },
    ],
    commits: [
      { vin: "CAR-A", version: 1, result: "applied", slotVersion: 1 },
      { vin: "CAR-B", version: 1, result: "failed", slotVersion: null },
      { vin: "CAR-B", version: 2, result: "applied", slotVersion: 2 },
    ],
    entitlements: [
      { activationId: "a", state: "proved" },
      { activationId: "b", state: "ended" },
      { activationId: "d", state: "ended" },
    ],
    tasks: [{ activationId: "d", kind: "chargeBack" }],
    forgedOffset,
    believed: ["CAR-A", "CAR-B", "CAR-C", "CAR-D"].map((vin) => ({ vin, version: 1, seq: 4 })),
    stuck: [],
    unbalanced: [],
  };
}

const { active: _a, gaveUp: _g, denied: _d, withdrawn: _w, ...clean } = nothingFound;

describe("the auditor", () => {
  test("finds nothing where everything is as it should be", () => {
    expect(audit(sound())).toEqual({
      verdict: { active: 1, gaveUp: 1, denied: 1, withdrawn: 1, ...clean },
      offenders: [],
    });
  });

  test("finds a charge without a proof, and says of which activation", () => {
    const evidence = sound();
    const intents = evidence.intents.map((one) =>
      one.id === "pi_b" ? { ...one, status: "succeeded", capturedCents: 101 } : one,
    );
    const { verdict, offenders } = audit({ ...evidence, intents });
    // Also against the state that the customer is shown.
    expect(verdict).toMatchObject({ ...clean, moneyWithoutService: 1, mismatches: 1 });
    expect(offenders[0]).toBe(
      "moneyWithoutService: activation b (paid1 in CAR-B, NoCharge) is charged and the car does not hold it",
    );
  });

  test("finds a record that is missing: nothing was written down, so nothing was judged", () => {
    const evidence = sound();
    expect(audit({ ...evidence, commits: [] }).offenders).toEqual([
      "mismatches: CAR-A holds paid1 and no version that it committed is recorded",
    ]);
    expect(audit({ ...evidence, believed: [] }).verdict).toMatchObject({ ...clean, mismatches: 4 });
    // Held and not charged, though the customer is shown an active service.
    expect(audit({ ...evidence, intents: [] }).verdict.serviceWithoutMoney).toBe(1);
  });

  test("finds two charges for one request, though each is the price", () => {
    const evidence = sound();
    const twice = intentOf("a", { id: "pi_a2" });
    const { verdict, offenders } = audit({ ...evidence, intents: [...evidence.intents, twice] });
    expect(verdict).toMatchObject({ ...clean, mismatches: 1 });
    expect(offenders).toEqual([
      "mismatches: activation a (paid1 in CAR-A, ServiceActive) is charged 2 times",
    ]);
  });

  test("counts what was given back, and finds another amount than the price", () => {
    const evidence = sound();
    const charged = (capturedCents: number, refundedCents: number) =>
      audit({
        ...evidence,
        intents: evidence.intents.map((one) =>
          one.id === "pi_a" ? { ...one, capturedCents, refundedCents } : one,
        ),
      }).verdict;
    expect(charged(101, 101)).toMatchObject({ ...clean, serviceWithoutMoney: 1, mismatches: 1 });
    expect(charged(102, 0)).toMatchObject({ ...clean, mismatches: 1 });
    expect(charged(202, 101)).toMatchObject(clean);
  });

  test("finds a car that holds what nobody paid, and what nobody bought", () => {
    const evidence = sound();
    const cars = [
      ...evidence.cars.filter(({ vin }) => vin === "CAR-A"),
      { vin: "CAR-B", hash: "one", wantedHash: "one", codes: ["paid1"], wantedCodes: [] },
      { vin: "CAR-C", hash: "two", wantedHash: "two", codes: ["paid2"], wantedCodes: [] },
    ];
    const commits = [
      ...evidence.commits,
      { vin: "CAR-C", version: 1, result: "applied" as const, slotVersion: 1 },
    ];
    const { verdict, offenders } = audit({ ...evidence, cars, commits });
    expect(verdict).toMatchObject({ ...clean, serviceWithoutMoney: 2 });
    expect(offenders).toEqual([
      "serviceWithoutMoney: activation b (paid1 in CAR-B, NoCharge) is held by the car and not charged",
      "serviceWithoutMoney: CAR-C holds paid2, which nobody bought",
    ]);
  });

  test("finds money taken for nothing anybody asked for, and holds that were left behind", () => {
    const evidence = sound();
    const stray = intentOf(null, { capturedCents: 5 });
    const left = intentOf("c", { status: "requires_capture", capturedCents: 0 });
    const { verdict } = audit({ ...evidence, intents: [...evidence.intents, stray, left] });
    expect(verdict).toMatchObject({ ...clean, moneyWithoutService: 1, mismatches: 1 });
  });

  test("finds two activations of one request, one that nobody asked for, and one that is missing", () => {
    const evidence = sound();
    const again = shownOf("c2", "CAR-C", "PaymentFailed");
    const other = shownOf("e", "CAR-A", "NoCharge", { serviceCode: "paid9" });
    const { verdict } = audit({
      ...evidence,
      shown: [...evidence.shown.filter(({ activationId }) => activationId !== "b"), again, other],
    });
    expect(verdict).toMatchObject({ active: 1, gaveUp: 0, denied: 1, mismatches: 3 });
  });

  test("finds an end that the seed had not pinned, and one that did not come", () => {
    const evidence = sound();
    const asked = evidence.asked.map((one) =>
      one.vin === "CAR-B" ? { ...one, end: "active" as const } : one,
    );
    expect(audit({ ...evidence, asked }).offenders).toEqual([
      "mismatches: activation b (paid1 in CAR-B) had to end active and ended gaveUp (NoCharge)",
    ]);
    const open = evidence.asked.map((one) => ({ ...one, end: "open" as const }));
    // Either end is right after a change of mind; a refusal is not, nor a service that was taken back.
    expect(audit({ ...evidence, asked: open }).verdict.mismatches).toBe(2);
    const shown = evidence.shown.map((one) =>
      one.activationId === "b" ? { ...one, state: "OTAQueue" } : one,
    );
    expect(audit({ ...evidence, shown }).verdict).toMatchObject({ gaveUp: 0, mismatches: 1 });
  });

  test("finds a service that stays in the manifest after its activation was given up, and one that is not in it", () => {
    const evidence = sound();
    const cars = evidence.cars.map((car) => {
      if (car.vin === "CAR-A") return { ...car, wantedCodes: [] };
      if (car.vin === "CAR-B") return { ...car, wantedCodes: ["paid1"] };
      return car.vin === "CAR-C" ? { ...car, wantedCodes: null } : car;
    });
    expect(audit({ ...evidence, cars }).offenders).toEqual([
      "staleManifests: the manifest of CAR-A lacks paid1, which is active",
      "staleManifests: the manifest of CAR-B holds paid1, which is not active",
      "mismatches: what the manifest of CAR-C holds is not recorded",
    ]);
  });

  test("finds a service that was taken back for another reason, or whose money was kept", () => {
    const evidence = sound();
    const asked = evidence.asked.map((one) =>
      one.vin === "CAR-D" ? { ...one, withdrawnBecause: "refunded" } : one,
    );
    expect(audit({ ...evidence, asked }).offenders).toEqual([
      "mismatches: activation d (paid1 in CAR-D) was taken back because of chargeBack, and not refunded",
    ]);
    const intents = [...evidence.intents.filter(({ activationId }) => activationId !== "d"), intentOf("d")];
    expect(audit({ ...evidence, intents }).verdict).toMatchObject({ moneyWithoutService: 1, mismatches: 1 });
    // Won: the money is ours again, and a person settles it with the customer.
    const tasks = [{ activationId: "d", kind: "chargeBackWon" }];
    expect(audit({ ...evidence, intents, tasks }).offenders).toEqual([]);
  });

  test("finds an entitlement that outlasts its activation, and one that is missing", () => {
    const evidence = sound();
    const entitlements = [
      { activationId: "b", state: "wanted" },
      { activationId: "d", state: "ending" },
    ];
    expect(audit({ ...evidence, entitlements }).offenders).toEqual([
      "staleEntitlements: the entitlement of activation a (paid1 in CAR-A) is not there, and it is active",
      "staleEntitlements: the entitlement of activation b (paid1 in CAR-B) is wanted, and it has ended as NoCharge",
      "staleEntitlements: the entitlement of activation d (paid1 in CAR-D) is ending, and it has ended as ServiceActive",
    ]);
  });

  test("finds a car that told a failure and had not switched back, and slots that nobody read", () => {
    const evidence = sound();
    const withSlots = (slotVersion: number | null) =>
      audit({ ...evidence, commits: evidence.commits.map((one) => ({ ...one, slotVersion })) }).offenders;
    expect(withSlots(1)).toEqual([
      "notRolledBack: CAR-B told that version 1 failed, and its active slot held it",
    ]);
    expect(withSlots(null)).toEqual([
      "mismatches: no car's active slot was read when it told what became of a version",
    ]);
  });

  test("finds versions committed twice, out of order, or a forger's, and a forger's number that we believe", () => {
    const evidence = sound();
    const commits = [
      ...evidence.commits,
      { vin: "CAR-B", version: 2, result: "applied" as const, slotVersion: 2 },
      { vin: "CAR-B", version: 1, result: "applied" as const, slotVersion: 1 },
      { vin: "CAR-C", version: forgedOffset + 7, result: "failed" as const, slotVersion: null },
    ];
    const believed = evidence.believed.map((one) =>
      one.vin === "CAR-C" ? { ...one, seq: forgedOffset + 1 } : one,
    );
    expect(audit({ ...evidence, commits, believed }).verdict).toMatchObject({
      ...clean,
      doubleApplies: 1,
      staleApplied: 1,
      unsignedAccepted: 2,
    });
  });

  test("finds cars that hold something else than they must, stuck activations and a ledger that does not add up", () => {
    const evidence = sound();
    const cars = evidence.cars.map((car) => (car.vin === "CAR-A" ? { ...car, wantedHash: "two" } : car));
    const { verdict, offenders } = audit({ ...evidence, cars, stuck: ["b"], unbalanced: ["t1"] });
    expect(verdict).toMatchObject({ ...clean, carsNotConverged: 1, stuck: 1, mismatches: 1 });
    expect(offenders[0]).toContain("CAR-A holds one and must hold two");
  });
});

test("the gateway's own file is read as it is: what each intent took and gave back", () => {
  const folder = mkdtempSync(join(tmpdir(), "caas-audit-"));
  try {
    const path = join(folder, "gateway.db");
    const store = openStore(path);
    const intent = intentSchema.parse({
      id: "pi_1",
      object: "payment_intent",
      amount: 101,
      amount_capturable: 0,
      amount_received: 101,
      canceled_at: null,
      cancellation_reason: null,
      capture_method: "manual",
      client_secret: "secret",
      confirmation_method: "automatic",
      created: 1,
      currency: "eur",
      customer: null,
      description: null,
      last_payment_error: null,
      latest_charge: "ch_1",
      livemode: false,
      metadata: { activation: "a", reference: "p" },
      next_action: null,
      payment_method: "pm_card_visa",
      payment_method_types: ["card"],
      receipt_email: null,
      setup_future_usage: null,
      statement_descriptor: null,
      statement_descriptor_suffix: null,
      status: "succeeded",
    });
    const charge = chargeSchema.parse({
      id: "ch_1",
      object: "charge",
      amount: 101,
      amount_captured: 101,
      amount_refunded: 1,
      disputed: true,
      captured: true,
      created: 1,
      currency: "eur",
      customer: null,
      description: null,
      failure_code: null,
      failure_message: null,
      livemode: false,
      metadata: {},
      outcome: { network_status: "approved_by_network", reason: null, type: "authorized" },
      paid: true,
      payment_intent: "pi_1",
      payment_method: "pm_card_visa",
      payment_method_details: {
        type: "card",
        card: { brand: "visa", last4: "4242", exp_month: 12, exp_year: 2040 },
      },
      refunded: false,
      status: "succeeded",
    });
    const dispute = {
      ...{ object: "dispute", amount: 100, charge: "ch_1", created: 2, currency: "eur", livemode: false },
      ...{ is_charge_refundable: false, metadata: {}, payment_intent: "pi_1", reason: "fraudulent" },
    };
    store.collection("paymentIntents", intentSchema).put(intent.id, intent);
    store
      .collection("charges", chargeSchema, { intent: ({ payment_intent }) => payment_intent })
      .put(charge.id, charge);
    for (const [id, status] of [
      ["dp_1", "lost"],
      ["dp_2", "won"],
    ] as const)
      store
        .collection("disputes", disputeSchema, {
          charge: ({ charge }) => charge,
          intent: ({ payment_intent }) => payment_intent,
        })
        .put(id, disputeSchema.parse({ ...dispute, id, status }));
    store.close();
    expect(readGatewayStore(path)).toEqual([
      intentOf("a", { id: "pi_1", refundedCents: 1, disputedCents: 100 }),
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
