import { dayMs } from "@caas/contract/durations.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { triesBeforeAlarm } from "../../rules/partner-patience.ts";
import type { TaskKind } from "../../rules/task-table.ts";
import {
  countAtPartner,
  type SoldCar,
  startTestSales,
  type TestSales,
} from "../../testing/fixtures/sales.ts";
import { tasksAbout } from "../../testing/fixtures/tasks.ts";

// What becomes of an order when the factory says no, does not answer, or its messages are lost.

let platform: TestSales;
beforeAll(async () => {
  platform = await startTestSales({ name: "silent_factory", standIns: ["gateway", "factory"] });
});
afterEach(() => platform.factory("DELETE", "/_control/faults"));
afterAll(() => platform?.close());

type Ordered = SoldCar & { orderId: string };

/** The reservation is paid; the factory was asked as the knobs say. */
async function order(faults: object = {}): Promise<Ordered> {
  const car = await platform.sell();
  await platform.factory("PUT", "/_control/faults", faults);
  const url = `/api/expedientes/${car.expedienteId}/reservation-payment`;
  await platform.staff.sales.post(url, { method: "transfer", amountCents: 50_000 });
  await platform.runJobs();
  const { id } = await platform.db
    .selectFrom("orders")
    .where("expediente_id", "=", car.expedienteId)
    .select("id")
    .executeTakeFirstOrThrow();
  return { ...car, orderId: id };
}

const orderSchema = z.object({
  factoryOrderId: z.string().nullable(),
  status: z.string(),
  tries: z.int(),
  lastError: z.string().nullable(),
  nextTryAt: z.iso.datetime().nullable(),
});

async function read({ orderId }: Ordered) {
  return orderSchema.parse((await platform.staff.sales.get(`/api/orders/${orderId}`)).body);
}

const ordersAtFactory = (car: Ordered) =>
  countAtPartner(platform.standIn("factory"), "orders", `ORD-${car.reference}`);

const tasksOf = ({ expedienteId }: Ordered, kind: TaskKind) => tasksAbout(platform.db, expedienteId, kind);

async function reach(car: Ordered, ...milestones: string[]): Promise<void> {
  const { factoryOrderId } = await read(car);
  for (const milestone of milestones)
    await platform.factory("POST", `/_control/orders/${factoryOrderId}/milestones`, { milestone });
}

async function daysLater(days: number): Promise<void> {
  platform.clock.advanceMs(days * dayMs);
  await platform.runTimers();
  await platform.runJobs();
}

describe("a factory that refuses an order", () => {
  const refuseNext = { count: 1, status: 422, code: "sold_out", message: "winterPack is sold out" };

  test("is a person's task at once, with the factory's words, and is not asked again by itself [N4, ES2]", async () => {
    const car = await order({ refuseNext });
    expect(await read(car)).toMatchObject({
      status: "placing",
      tries: 1,
      lastError: "sold_out: winterPack is sold out",
      nextTryAt: null,
    });
    const reference = `ORD-${car.reference}`;
    expect(await tasksOf(car, "orderRefused")).toEqual([
      {
        team: "dealership",
        title: `The factory refused order ${reference}`,
        detail: { reference, reason: "sold_out: winterPack is sold out", status: 422 },
      },
    ]);
    expect(await platform.retryJobs()).toBe(0);
    await daysLater(30);
    expect(await read(car)).toMatchObject({ tries: 1 });
    expect(await ordersAtFactory(car)).toBe(0);
  });

  test("is asked again when staff say so, and the order is placed once [N4]", async () => {
    const car = await order({ refuseNext });
    const url = `/api/orders/${car.orderId}/retry`;
    expect((await car.customer.post(url, {})).status).toBe(403);
    expect((await platform.staff.otherSales.post(url, {})).status).toBe(404);
    expect((await platform.staff.sales.post(url, {})).status).toBe(202);
    expect(await platform.runJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
    expect(await read(car)).toMatchObject({ status: "placed", tries: 2, lastError: null, nextTryAt: null });
    expect(await ordersAtFactory(car)).toBe(1);
    const again = await platform.staff.sales.post(url, {});
    expect(again).toMatchObject({ status: 409, body: { detail: expect.stringContaining("placed") } });
  });

  test("its words are for staff: the customer reads none of them", async () => {
    const car = await order({ refuseNext });
    const url = `/api/expedientes/${car.expedienteId}`;
    const shown = async (person: SoldCar["customer"]) => JSON.stringify((await person.get(url)).body);
    expect(await shown(platform.staff.sales)).toContain("winterPack is sold out");
    expect(await shown(car.customer)).not.toContain("sold out");
  });

  test("also the car's identity: the refusal is a task, and staff have it handed over again [N4]", async () => {
    const car = await order();
    await platform.factory("PUT", "/_control/faults", { refuseNext });
    await reach(car, "started", "vinAssigned");
    await platform.until("the factory has refused the package", async () =>
      (await tasksOf(car, "orderRefused")).length > 0 ? true : undefined,
    );
    expect(await read(car)).toMatchObject({ lastError: "sold_out: winterPack is sold out" });
    expect((await platform.staff.sales.post(`/api/orders/${car.orderId}/retry`, {})).status).toBe(202);
    expect(await platform.runJobs()).toBe(0);
    expect(await read(car)).toMatchObject({ lastError: null });
    expect((await platform.staff.sales.post(`/api/orders/${car.orderId}/retry`, {})).status).toBe(409);
  });
});

test("a factory that answers 503 is asked again with growing waits, which the order shows; after six tries the dealership's staff are mailed [N4, FA1, FA2, ES3, ES4]", async () => {
  const car = await order({ failNext: { count: triesBeforeAlarm + 1, status: 503 } });
  const title = `The factory does not answer about ORD-${car.reference}`;
  const { email } = await platform.db
    .selectFrom("auth_users")
    .where("id", "=", platform.staff.sales.userId)
    .select("email")
    .executeTakeFirstOrThrow();
  const waits: number[] = [];
  for (let tries = 1; tries <= triesBeforeAlarm + 1; tries += 1) {
    const { nextTryAt, ...shown } = await read(car);
    expect(shown).toMatchObject({ tries, lastError: expect.stringContaining("503"), status: "placing" });
    waits.push(Date.parse(nextTryAt ?? "") - Date.now());
    const times = tries < triesBeforeAlarm ? 0 : 1;
    expect(await tasksOf(car, "partnerUnreachable")).toHaveLength(times);
    expect(platform.fakes.mail.to(email).filter(({ subject }) => subject.endsWith(title))).toHaveLength(
      times,
    );
    await platform.retryJobs();
  }
  expect(waits.every((wait, index) => wait > 1.5 * (waits[index - 1] ?? 1))).toBe(true);
  expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
  expect(await read(car)).toMatchObject({ lastError: null, nextTryAt: null });
  expect(await tasksOf(car, "orderRefused")).toEqual([]);
});

describe("a factory whose messages are lost", () => {
  const lost = { dropWebhooksNext: { count: 100 } };

  test("is asked after a day, and what it says moves the car as its messages would have [N3, fault 25]", async () => {
    const car = await order();
    await platform.factory("PUT", "/_control/faults", lost);
    await reach(car, "started", "vinAssigned", "body", "paint");
    await platform.runJobs();
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
    await daysLater(0.9);
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
    await daysLater(0.2);
    expect(await platform.stateOf(car.vehicleId)).toBe("InManufacturing");
    const steps = await platform.db
      .selectFrom("steps")
      .where("vehicle_id", "=", car.vehicleId)
      .where("actor_kind", "=", "partner")
      .orderBy("id")
      .select(["event", "actor_id", "automation_row"])
      .execute();
    expect(steps).toEqual(
      ["manufacturingStarted", "vinAssigned", "manufacturingProgressed"].map((event) => ({
        event,
        actor_id: "factory",
        automation_row: "AU5",
      })),
    );

    await reach(car, "assembly", "qualityCheck", "completed");
    await daysLater(1);
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    expect(await tasksOf(car, "partnerSilent")).toEqual([]);
    // Settled: nothing is looked up any more.
    await daysLater(30);
    expect(await tasksOf(car, "partnerSilent")).toEqual([]);
  });

  test("and that has no news for a week is a person's task, once for each silence [N3]", async () => {
    const car = await order();
    for (let day = 1; day <= 6; day += 1) await daysLater(1);
    expect(await tasksOf(car, "partnerSilent")).toEqual([]);
    await daysLater(1);
    await daysLater(1);
    const reference = `ORD-${car.reference}`;
    expect(await tasksOf(car, "partnerSilent")).toEqual([
      {
        team: "dealership",
        title: `The factory has no news of ${reference}`,
        detail: { reference, reason: "the factory says accepted", lastNews: expect.any(String) },
      },
    ]);
    await platform.factory("PUT", "/_control/faults", lost);
    await reach(car, "started");
    await daysLater(1);
    expect(await platform.stateOf(car.vehicleId)).toBe("InManufacturing");
    for (let day = 1; day <= 8; day += 1) await daysLater(1);
    expect(await tasksOf(car, "partnerSilent")).toHaveLength(2);
  });

  test("and that does not know the order is a person's task at the first look-up [N3]", async () => {
    const car = await order({ failNext: { count: 1, status: 503 } });
    await platform.tellFromFactory("order.manufacturing_started", {
      orderId: "fo_of_another_factory",
      reference: `ORD-${car.reference}`,
    });
    expect(await platform.stateOf(car.vehicleId)).toBe("InManufacturing");
    await daysLater(1);
    expect(await tasksOf(car, "partnerSilent")).toMatchObject([
      { detail: { reason: "the factory does not know it" } },
    ]);
  });

  test("and that does not answer when it is asked is asked again, and again the next day [N3]", async () => {
    const car = await order();
    await platform.factory("PUT", "/_control/faults", { ...lost, failNext: { count: 1, status: 503 } });
    await reach(car, "started");
    await daysLater(1);
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
    await platform.db.deleteFrom("jobs").execute();
    await daysLater(1);
    expect(await platform.stateOf(car.vehicleId)).toBe("InManufacturing");
  });

  test("an order whose job used up its tries is placed after a day [N3]", async () => {
    const car = await order({ timeOutAfterDoingNext: { count: 1 } });
    expect(await platform.stateOf(car.vehicleId)).toBe("start");
    await platform.db.deleteFrom("jobs").where("kind", "=", "placeFactoryOrder").execute();
    await daysLater(1);
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
    expect(await ordersAtFactory(car)).toBe(1);
  });
});

test("a factory of another release, with offsets, new fields, no eta and types of its own, builds the car [F15, F16]", async () => {
  const car = await order();
  await platform.factory("PUT", "/_control/faults", { oddWebhooks: true });
  await reach(car, "started", "vinAssigned", "body");
  await platform.untilState(car.vehicleId, "InManufacturing");
  await platform.until("the package is there", async () => {
    const token = await platform.db
      .selectFrom("enrolment_tokens")
      .where("vehicle_id", "=", car.vehicleId)
      .select("handed_over_at")
      .executeTakeFirst();
    return token?.handed_over_at ?? undefined;
  });
  await reach(car, "paint", "assembly", "qualityCheck", "completed");
  await platform.untilState(car.vehicleId, "PaymentPending");
  expect(await tasksOf(car, "messageNotTaken")).toEqual([]);
  expect(JSON.stringify(await platform.factory("GET", "/_control/webhooks"))).not.toContain("abandoned");
});

test("an order taken at its first try was tried once, also when the car's package has been handed over [38]", async () => {
  const car = await order();
  expect(await read(car)).toMatchObject({ status: "placed", tries: 1 });
  await reach(car, "started", "vinAssigned");
  await platform.until("the package is handed over", async () => {
    await platform.runJobs();
    return platform.db
      .selectFrom("enrolment_tokens")
      .innerJoin("orders", "orders.vehicle_id", "enrolment_tokens.vehicle_id")
      .where("orders.id", "=", car.orderId)
      .where("handed_over_at", "is not", null)
      .select("orders.id")
      .executeTakeFirst();
  });
  expect(await read(car)).toMatchObject({ tries: 1, lastError: null });
});
