import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Person } from "../../testing/fixtures/people.ts";
import {
  registered,
  startTestSales,
  type TestSales,
  type WrittenSale,
} from "../../testing/fixtures/sales.ts";
import { drawLinkCode } from "./link-code.ts";

let platform: TestSales;
let car: WrittenSale;
let customer: Person;

const delivered = {
  ...registered,
  state: "Delivered",
  transport: "arranged",
  physically_delivered: true,
} as const;
const codesUrl = () => `/api/vehicles/${car.vehicleId}/link-codes`;
const linkUrl = () => `/api/vehicles/${car.vehicleId}/link`;
/** Right once in a million codes. */
const wrong = "000000";

beforeAll(async () => {
  platform = await startTestSales({ name: "linking", standIns: [] });
});
beforeEach(async () => {
  car = await platform.writeSale(delivered);
  customer = await platform.customerOf(car);
  await platform.db
    .updateTable("vehicles")
    .set({ owner_customer_id: car.customerId })
    .where("id", "=", car.vehicleId)
    .execute();
});
afterAll(() => platform?.close());

const minutes = (count: number) => count * 60_000;

describe("showing a code in the car", () => {
  test("the code goes to the car's display and nowhere else", async () => {
    const answer = await customer.post(codesUrl());
    expect(answer).toMatchObject({
      status: 202,
      body: { expiresAt: new Date(platform.clock.now().getTime() + minutes(10)).toISOString() },
    });
    const code = platform.shownCode(car.vehicleId);
    expect(code).toMatch(/^\d{6}$/);
    expect(JSON.stringify(answer.body)).not.toContain(code);
    const stored = await platform.db
      .selectFrom("link_codes")
      .where("vehicle_id", "=", car.vehicleId)
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(JSON.stringify(stored)).not.toContain(code);
  });

  test("before physical delivery no code is shown, and the refusal names the rule [DE4]", async () => {
    const early = await platform.writeSale(registered);
    const buyer = await platform.customerOf(early);
    for (const [url, body] of [
      [`/api/vehicles/${early.vehicleId}/link-codes`, {}],
      [`/api/vehicles/${early.vehicleId}/link`, { code: wrong }],
    ] as const) {
      const answer = await buyer.post(url, body);
      expect(answer.status).toBe(409);
      expect(answer.body).toMatchObject({
        rule: "DE4",
        section: "Process Dependencies and Sequencing → Dependency Rules",
      });
    }
    expect(() => platform.shownCode(early.vehicleId)).toThrow();
  });

  test("only the owner asks: another customer finds nothing, staff may not", async () => {
    const other = await platform.customerOf(await platform.writeSale(delivered));
    expect((await other.post(codesUrl())).status).toBe(404);
    expect((await platform.staff.sales.post(codesUrl())).status).toBe(403);
    expect(() => platform.shownCode(car.vehicleId)).toThrow();
  });

  test("the same Idempotency-Key shows no second code", async () => {
    await customer.post(codesUrl(), {}, "one-code");
    const first = platform.shownCode(car.vehicleId);
    await customer.post(codesUrl(), {}, "one-code");
    expect(platform.shownCode(car.vehicleId)).toBe(first);
  });

  test("codes are six digits, leading zeros included", () => {
    const drawn = Array.from({ length: 2_000 }, drawLinkCode);
    expect(drawn.every((code) => /^\d{6}$/.test(code))).toBe(true);
    expect(new Set(drawn).size).toBeGreaterThan(1_900);
  });
});

describe("linking the app", () => {
  test("the right code makes the vehicle Operational, by the customer's own hand [VA14, AU11, DO12]", async () => {
    await customer.post(codesUrl());
    const answer = await customer.post(linkUrl(), { code: platform.shownCode(car.vehicleId) });
    expect(answer.body).toMatchObject({ outcome: "linked", vehicleState: "Operational" });
    const vehicle = await platform.db
      .selectFrom("vehicles")
      .where("id", "=", car.vehicleId)
      .select(["state", "app_linked_at"])
      .executeTakeFirstOrThrow();
    expect(vehicle).toEqual({ state: "Operational", app_linked_at: platform.clock.now() });
    const step = await platform.db
      .selectFrom("steps")
      .where("vehicle_id", "=", car.vehicleId)
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(step).toMatchObject({
      arrow: "VA14",
      automation_row: "AU11",
      automatic: false,
      actor_kind: "customer",
      actor_id: car.customerId,
    });
    const told = await platform.db
      .selectFrom("notifications")
      .where("vehicle_id", "=", car.vehicleId)
      .orderBy("channel")
      .select(["row_id", "channel", "status"])
      .execute();
    expect(told).toEqual([
      { row_id: "NT9", channel: "inApp", status: "channelNotConfigured" },
      { row_id: "NT9", channel: "push", status: "channelNotConfigured" },
    ]);
  });

  test("a wrong code costs a try, and the fifth ends it: then not even the right one helps", async () => {
    await customer.post(codesUrl());
    for (const triesLeft of [4, 3, 2, 1, 0])
      expect((await customer.post(linkUrl(), { code: wrong })).body).toEqual({
        outcome: "wrongCode",
        triesLeft,
      });
    const late = await customer.post(linkUrl(), { code: platform.shownCode(car.vehicleId) });
    expect(late.status).toBe(422);
    expect(late.body).toMatchObject({ code: "wrongCode", errors: [{ field: "body.code" }] });
    expect(await platform.stateOf(car.vehicleId)).toBe("Delivered");
  });

  test("asking for a new code buys no new guesses until the last one has expired", async () => {
    await customer.post(codesUrl());
    await customer.post(linkUrl(), { code: wrong });
    await customer.post(codesUrl());
    for (const triesLeft of [3, 2, 1, 0])
      expect((await customer.post(linkUrl(), { code: wrong })).body).toMatchObject({ triesLeft });
    expect((await customer.post(codesUrl())).status).toBe(429);
    platform.clock.advanceMs(minutes(10) + 1);
    expect((await customer.post(codesUrl())).status).toBe(202);
    const answer = await customer.post(linkUrl(), { code: platform.shownCode(car.vehicleId) });
    expect(answer.body).toMatchObject({ outcome: "linked" });
  });

  test("a wrong try repeated with its own Idempotency-Key is one try", async () => {
    await customer.post(codesUrl());
    await customer.post(linkUrl(), { code: wrong }, "one-guess");
    const again = await customer.post(linkUrl(), { code: wrong }, "one-guess");
    expect(again.body).toMatchObject({ triesLeft: 4 });
    expect((await customer.post(linkUrl(), { code: wrong })).body).toMatchObject({ triesLeft: 3 });
  });

  test("guesses made at the same moment are counted one by one", async () => {
    await customer.post(codesUrl());
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => customer.post(linkUrl(), { code: wrong })),
    );
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(5);
    expect(answers.filter((answer) => answer.status === 422)).toHaveLength(3);
  });

  test.each([
    ["nine and a half minutes", minutes(9.5), "linked"],
    ["ten minutes", minutes(10), undefined],
  ])("after %s of business time the code is judged so", async (_what, waitMs, outcome) => {
    await customer.post(codesUrl());
    platform.clock.advanceMs(waitMs);
    const answer = await customer.post(linkUrl(), { code: platform.shownCode(car.vehicleId) });
    expect(answer.body).toMatchObject(outcome === undefined ? { code: "wrongCode" } : { outcome });
  });

  test("a code shown to the former owner links nobody else's app", async () => {
    await customer.post(codesUrl());
    const buyer = await platform.writeSale(delivered);
    const next = await platform.customerOf(buyer);
    await platform.db
      .updateTable("vehicles")
      .set({ owner_customer_id: buyer.customerId })
      .where("id", "=", car.vehicleId)
      .execute();
    const code = platform.shownCode(car.vehicleId);
    expect((await next.post(linkUrl(), { code })).status).toBe(422);
    expect((await customer.post(linkUrl(), { code })).status).toBe(404);
  });

  test("a linked car takes no second code", async () => {
    await customer.post(codesUrl());
    await customer.post(linkUrl(), { code: platform.shownCode(car.vehicleId) });
    const again = await customer.post(codesUrl());
    expect(again.status).toBe(409);
    expect(again.body).toMatchObject({ code: "ruleRefused", rule: "vehicle" });
  });

  test.each(["12345", "1234567", "12345a", ""])("%j is no code and costs nothing", async (code) => {
    await customer.post(codesUrl());
    const answer = await customer.post(linkUrl(), { code });
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).toContain("code");
    expect((await customer.post(linkUrl(), { code: wrong })).body).toMatchObject({ triesLeft: 4 });
  });
});
