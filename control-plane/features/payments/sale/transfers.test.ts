import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SoldCar, startTestSales, type TestSales } from "../../../testing/fixtures/sales.ts";
import { insertUser } from "../../accounts/create-staff.ts";

const finalCents = 3_149_000;
const reservationCents = 50_000;

let platform: TestSales;
beforeAll(async () => {
  platform = await startTestSales({
    name: "transfers",
    standIns: ["gateway", "factory"],
    factoryPace: { mode: "auto", milestoneDelayMs: 0 },
    unheard: ["finalPaymentReceived"],
  });
});
afterAll(() => platform.close());

const finalOf = (car: SoldCar) => `/api/expedientes/${car.expedienteId}/final-payment`;
const lookAt = (paymentId: string) => `/api/payments/${paymentId}/second-look`;
const transfer = { method: "transfer", amountCents: finalCents };

async function record(car: SoldCar, more: { payer?: string } = {}): Promise<string> {
  const answer = await platform.staff.sales.post(finalOf(car), { ...transfer, ...more });
  expect(answer).toMatchObject({ status: 202, body: { status: "unchecked", settledAt: null } });
  return answer.text("id");
}

const lastStep = (car: SoldCar) =>
  platform.db
    .selectFrom("steps")
    .where("vehicle_id", "=", car.vehicleId)
    .orderBy("id", "desc")
    .limit(1)
    .selectAll()
    .executeTakeFirstOrThrow();

const ledgerOf = async (paymentId: string) =>
  (await platform.staff.support.get(`/api/payments/${paymentId}/ledger`)).body;

describe("staff record the final payment by bank transfer", () => {
  test("above the limit it counts when a second person has looked at it [F14]", async () => {
    const car = await platform.sellReadyCar();
    const paymentId = await record(car, { payer: "Leasing Ibérica S.A." });
    expect(await ledgerOf(paymentId)).toEqual({ transactions: [] });
    expect(platform.published).toContainEqual(
      expect.objectContaining({
        name: "taskNeeded",
        event: expect.objectContaining({
          kind: "secondLook",
          detail: { paymentId, amountCents: finalCents, method: "transfer", payer: "Leasing Ibérica S.A." },
        }),
      }),
    );
    expect(await platform.staff.sales.post(lookAt(paymentId), { outcome: "passed" })).toMatchObject({
      status: 403,
      body: { detail: "you recorded this payment yourself: someone else must look at it" },
    });
    expect(await platform.staff.admin.post(lookAt(paymentId), { outcome: "passed" })).toMatchObject({
      status: 200,
      body: { status: "recorded", payer: "Leasing Ibérica S.A.", settledAt: expect.any(String) },
    });
    expect(await lastStep(car)).toMatchObject({
      event: "finalPaymentReceived",
      automation_row: "AU7",
      actor_kind: "staff",
      actor_id: platform.staff.sales.userId,
      detail: { checkedBy: platform.staff.admin.userId, payer: "Leasing Ibérica S.A." },
    });
    expect(await ledgerOf(paymentId)).toMatchObject({
      transactions: [
        { kind: "depositReceived", postings: [{ account: "bankAccount", amountCents: finalCents }, {}] },
      ],
    });
    expect(await platform.staff.admin.post(lookAt(paymentId), { outcome: "failed" })).toMatchObject({
      status: 409,
      body: { detail: "this payment is recorded: there is nothing to look at" },
    });
    expect(await car.customer.post(finalOf(car), { paymentMethod: "pm_card_visa" })).toMatchObject({
      status: 409,
      body: { detail: "this is paid already" },
    });
  });

  const secondLooks = (car: SoldCar) =>
    platform.db
      .selectFrom("tasks")
      .where("expediente_id", "=", car.expedienteId)
      .where("kind", "=", "secondLook")
      .select(["id", "status", "resolution", "resolved_by"]);

  test.each(["passed", "failed"])(
    "the task of a second look closes with the look, which %s [3]",
    async (outcome) => {
      const [car, other] = [await platform.sellReadyCar(), await platform.sellReadyCar()];
      const paymentId = await record(car);
      await record(other);
      await platform.staff.sales.post(lookAt(paymentId), { outcome });
      expect(await secondLooks(car).execute()).toMatchObject([{ status: "open" }]);
      await platform.staff.admin.post(lookAt(paymentId), { outcome });
      expect(await secondLooks(car).execute()).toMatchObject([
        {
          status: "resolved",
          resolution: `the second look ${outcome}`,
          resolved_by: platform.staff.admin.userId,
        },
      ]);
      expect(await secondLooks(other).execute()).toMatchObject([{ status: "open" }]);
    },
  );

  test("nobody closes the task of a second look by hand [4]", async () => {
    const car = await platform.sellReadyCar();
    await record(car);
    const { id } = await secondLooks(car).executeTakeFirstOrThrow();
    const { sales, admin } = platform.staff;
    for (const person of [sales, admin])
      expect(await person.post(`/api/tasks/${id}/resolution`, { resolution: "it is there" })).toMatchObject({
        status: 409,
        body: {
          code: "conflict",
          detail: "this task closes with the second look at the payment, and not by hand",
        },
      });
    expect(await secondLooks(car).execute()).toMatchObject([{ status: "open" }]);
  });

  test("a task that an earlier release left open after the look is closed by hand [4]", async () => {
    const car = await platform.sellReadyCar();
    const { admin } = platform.staff;
    await admin.post(lookAt(await record(car)), { outcome: "passed" });
    const { id } = await secondLooks(car).executeTakeFirstOrThrow();
    await platform.db.updateTable("tasks").set({ status: "open" }).where("id", "=", id).execute();
    expect((await admin.post(`/api/tasks/${id}/resolution`, { resolution: "looked at" })).status).toBe(200);
  });

  test("a recorded payment is mailed to a colleague, with its amount and the act that settles it; to the recorder where they are alone [24]", async () => {
    const car = await platform.sellReadyCar();
    const mailed = () =>
      platform.db
        .selectFrom("notifications")
        .where("row_id", "=", "task")
        .where("subject", "like", "%A colleague recorded%")
        .where("body", "like", `%${car.reference}%`)
        .select(["address", "body"])
        .execute();
    const emailOf = async (userId: string) =>
      (
        await platform.db
          .selectFrom("auth_users")
          .where("id", "=", userId)
          .select("email")
          .executeTakeFirstOrThrow()
      ).email;
    const paymentId = await record(car);
    const [alone] = await mailed();
    expect(alone?.address).toBe(await emailOf(platform.staff.sales.userId));
    expect(alone?.body).toContain("- amount: €31,490.00\n");
    expect(alone?.body).toContain("The task closes with the second look at the payment.");
    expect(alone?.body).not.toMatch(/Cents|intranet/);
    await platform.staff.admin.post(lookAt(paymentId), { outcome: "failed" });
    const email = `colleague.${car.reference.toLowerCase()}@caas.example`;
    await platform.inTransaction((tx) =>
      insertUser(tx, {
        name: "Colleague",
        email,
        role: "sales",
        dealershipId: platform.staff.dealershipId,
        customerId: null,
        passwordHash: "none",
      }),
    );
    await record(car);
    expect((await mailed()).slice(1).map(({ address }) => address)).toEqual([email]);
  });

  test("money that the second person does not find is no refusal: the car stays, and the customer may pay [F14]", async () => {
    const car = await platform.sellReadyCar();
    const paymentId = await record(car);
    expect((await car.customer.post(finalOf(car), { paymentMethod: "pm_card_visa" })).status).toBe(409);
    expect(await platform.staff.admin.post(lookAt(paymentId), { outcome: "failed" })).toMatchObject({
      status: 200,
      body: { status: "declined", decline: { reason: "secondLookFailed", isRefusal: false } },
    });
    expect(await lastStep(car)).toMatchObject({
      event: "finalPaymentNotMade",
      actor_id: platform.staff.admin.userId,
    });
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    expect((await car.customer.post(finalOf(car), { paymentMethod: "pm_card_visa" })).status).toBe(202);
    await platform.runJobs();
  });

  describe("what was refused stays refused [F14]", () => {
    let car: SoldCar;
    beforeAll(async () => {
      car = await platform.sellReadyCar();
    });
    test.each([
      ["cash", { ...transfer, method: "cash" }, "body.method"],
      ["less than due", { ...transfer, amountCents: finalCents - 1 }, "body.amountCents"],
      ["no amount", { method: "transfer" }, "body.amountCents"],
      ["a card", { paymentMethod: "pm_card_visa" }, "body.paymentMethod"],
      ["a payer without a name", { ...transfer, payer: " " }, "body.payer"],
    ])("by staff: %s", async (_what, body, field) => {
      const refused = await platform.staff.sales.post(finalOf(car), body);
      expect(refused.status).toBe(400);
      expect(JSON.stringify(refused.body)).toContain(field);
    });

    test("by another dealership, by support, and by the customer", async () => {
      expect((await platform.staff.otherSales.post(finalOf(car), transfer)).status).toBe(404);
      expect((await platform.staff.support.post(finalOf(car), transfer)).status).toBe(403);
      expect((await car.customer.post(finalOf(car), transfer)).status).toBe(400);
    });

    test("before the car is ready, and of a second payment", async () => {
      const early = await platform.sell();
      expect((await platform.staff.sales.post(finalOf(early), transfer)).status).toBe(409);
      await record(car);
      expect(await platform.staff.sales.post(finalOf(car), transfer)).toMatchObject({
        status: 409,
        body: { detail: "this payment waits for a second member of staff to look at it" },
      });
    });
  });

  test("a reservation above the limit is looked at too, and then the order follows [F14]", async () => {
    const car = await platform.sell();
    const amountCents = 1_000_000;
    await platform.db
      .updateTable("expedientes")
      .set({ reservation_cents: amountCents })
      .where("id", "=", car.expedienteId)
      .execute();
    const url = `/api/expedientes/${car.expedienteId}/reservation-payment`;
    const asked = await platform.staff.sales.post(url, { method: "cash", amountCents });
    expect(asked).toMatchObject({ status: 202, body: { status: "unchecked" } });
    await platform.runJobs();
    expect(await platform.stateOf(car.vehicleId)).toBe("start");
    await platform.staff.admin.post(lookAt(asked.text("id")), { outcome: "passed" });
    await platform.untilState(car.vehicleId, "PaymentPending");
  });

  test("a reservation below the limit counts at once, as before [F14]", async () => {
    const car = await platform.sell();
    expect(
      await platform.staff.sales.post(`/api/expedientes/${car.expedienteId}/reservation-payment`, {
        method: "transfer",
        amountCents: reservationCents,
      }),
    ).toMatchObject({ status: 202, body: { status: "recorded" } });
  });
});
