import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { PresumptionLimits } from "../../../rules/presumption-policy.ts";
import { startTestPlatform, type TestPlatform } from "../../../testing/test-platform.ts";
import { type ExposureTaken, giveExposureBack, readExposure, takeExposure } from "./exposure.ts";

const amountCents = 1_900;

let platform: TestPlatform;
beforeAll(async () => {
  platform = await startTestPlatform({ name: "exposure" });
});
afterAll(() => platform.close());
afterEach(() => platform.db.updateTable("payment_exposure").set({ open_cents: 0 }).execute());

function limitsOf(caps: Partial<PresumptionLimits>): PresumptionLimits {
  return { maxAmountCents: 100_000, customerCapCents: 1_000_000, totalCapCents: 1_000_000, ...caps };
}

function take(customerId: string, limits: PresumptionLimits, cents = amountCents): Promise<ExposureTaken> {
  return platform.db
    .transaction()
    .execute((tx) => takeExposure(tx, { customerId, amountCents: cents }, limits));
}

describe("the caps of what is presumed, on the real PostgreSQL [fault 24]", () => {
  test.each([
    ["the customer's cap exactly", { customerCapCents: 2 * amountCents }, { kind: "taken" }],
    ["one cent above it", { customerCapCents: 2 * amountCents - 1 }, { kind: "full", rule: "PP6" }],
    ["the cap of all exactly", { totalCapCents: 2 * amountCents }, { kind: "taken" }],
    ["one cent above that", { totalCapCents: 2 * amountCents - 1 }, { kind: "full", rule: "PP7" }],
  ] as const)("a second purchase reaches %s", async (_title, caps, second) => {
    const customerId = randomUUID();
    const limits = limitsOf(caps);
    expect(await take(customerId, limits)).toEqual({ kind: "taken" });
    expect(await take(customerId, limits)).toEqual(second);
    const open = second.kind === "taken" ? 2 * amountCents : amountCents;
    // A refusal by the second cap leaves no trace in the first.
    expect(await readExposure(platform.db, customerId)).toEqual({
      customerOpenCents: open,
      totalOpenCents: open,
    });
  });

  test("a first purchase above the customer's cap takes nothing", async () => {
    const customerId = randomUUID();
    expect(await take(customerId, limitsOf({ customerCapCents: amountCents - 1 }))).toEqual({
      kind: "full",
      rule: "PP6",
    });
    expect(await readExposure(platform.db, customerId)).toEqual({ customerOpenCents: 0, totalOpenCents: 0 });
  });

  test("50 parallel purchases of one customer: exactly as many as fit under their cap", async () => {
    const customerId = randomUUID();
    const limits = limitsOf({ customerCapCents: 7 * amountCents + 1 });
    const taken = await Promise.all(Array.from({ length: 50 }, () => take(customerId, limits)));
    expect(taken.filter(({ kind }) => kind === "taken")).toHaveLength(7);
    expect(await readExposure(platform.db, customerId)).toEqual({
      customerOpenCents: 7 * amountCents,
      totalOpenCents: 7 * amountCents,
    });
  });

  test("50 parallel purchases of 50 customers: exactly as many as fit under the cap of all; the others took nothing", async () => {
    const customers = Array.from({ length: 50 }, () => randomUUID());
    const limits = limitsOf({ totalCapCents: 20 * amountCents });
    const taken = await Promise.all(customers.map((customerId) => take(customerId, limits)));
    expect(taken.filter(({ kind }) => kind === "taken")).toHaveLength(20);
    const mine = await Promise.all(customers.map((customerId) => readExposure(platform.db, customerId)));
    expect(mine.reduce((sum, one) => sum + one.customerOpenCents, 0)).toBe(20 * amountCents);
    expect(mine[0]?.totalOpenCents).toBe(20 * amountCents);
  });

  test("50 purchases while 10 are given back: never above the cap, and the sum is what is open", async () => {
    const limits = limitsOf({ totalCapCents: 15 * amountCents });
    const first = Array.from({ length: 10 }, () => randomUUID());
    for (const customerId of first) await take(customerId, limits);
    const next = Array.from({ length: 50 }, () => randomUUID());
    const taken = await Promise.all([
      ...next.map((customerId) => take(customerId, limits)),
      ...first.map((customerId) =>
        platform.db.transaction().execute((tx) => giveExposureBack(tx, [{ customerId, amountCents }])),
      ),
    ]);
    const won = taken.filter((one) => one?.kind === "taken").length;
    expect(won).toBeGreaterThanOrEqual(5);
    expect(won).toBeLessThanOrEqual(15);
    const { totalOpenCents } = await readExposure(platform.db, randomUUID());
    expect(totalOpenCents).toBe(won * amountCents);
  });

  test("what was not taken cannot be given back", async () => {
    await expect(
      platform.db
        .transaction()
        .execute((tx) => giveExposureBack(tx, [{ customerId: randomUUID(), amountCents }])),
    ).rejects.toThrow("payment_exposure_open_cents_check");
  });
});
