import { checkDigit } from "@caas/contract/vin.ts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { type SoldCar, startTestSales, type TestSales } from "../../testing/fixtures/sales.ts";
import { reasonsNotTaken } from "../../testing/fixtures/tasks.ts";
import { readyNoticePatienceMs } from "./ready-notice.ts";

const messages = z.object({ notifications: z.array(z.object({ row: z.string(), channel: z.string() })) });

function vinOf(serial: number): string {
  const behind = `TA${String(serial).padStart(6, "0")}`;
  return `VSSCAR00${checkDigit(`VSSCAR000${behind}`)}${behind}`;
}

async function payReservation(platform: TestSales, car: SoldCar): Promise<void> {
  const paid = await platform.staff.sales.post(`/api/expedientes/${car.expedienteId}/reservation-payment`, {
    method: "transfer",
    amountCents: 50_000,
  });
  expect(paid.status).toBe(202);
}

async function readOrder(platform: TestSales, car: SoldCar) {
  return platform.db
    .selectFrom("orders")
    .where("expediente_id", "=", car.expedienteId)
    .selectAll()
    .executeTakeFirstOrThrow();
}

async function readEvents(platform: TestSales, car: SoldCar): Promise<string[]> {
  const rows = await platform.db
    .selectFrom("steps")
    .where("vehicle_id", "=", car.vehicleId)
    .orderBy("id")
    .select("event")
    .execute();
  return rows.map((row) => row.event);
}

describe("a factory that builds by itself", () => {
  let platform: TestSales;
  beforeAll(async () => {
    platform = await startTestSales({
      name: "orders_auto",
      standIns: ["gateway", "factory"],
      factoryPace: { mode: "auto", milestoneDelayMs: 0 },
    });
  });
  afterAll(() => platform.close());

  test("the paid reservation orders the car, the factory's messages carry it to PaymentPending [LF2, LF3, LF4, DO6, SY7, AU4, AU5, AU6, VA1, VA2, VA3, VA4]", async () => {
    const car = await platform.sell();
    await payReservation(platform, car);
    await platform.untilState(car.vehicleId, "PaymentPending");

    const { body } = await car.customer.get(`/api/expedientes/${car.expedienteId}/steps`);
    const factory = { actor: "partner", automatic: true, automation: { row: "AU5" } };
    expect(body).toMatchObject({
      steps: [
        { event: "saleRegistered" },
        { event: "credentialsGenerated" },
        { event: "credentialsMailed" },
        { event: "reservationPaid", actor: "staff", automatic: false },
        {
          event: "factoryOrderPlaced",
          from: "start",
          to: "Ordered",
          arrow: "VA1",
          automation: { row: "AU4", step: "Factory order placement" },
          automatic: true,
        },
        { event: "manufacturingStarted", from: "Ordered", to: "InManufacturing", arrow: "VA2", ...factory },
        { event: "vinAssigned", arrow: "VX2", ...factory },
        { event: "manufacturingProgressed", detail: { milestone: "body" }, ...factory },
        { event: "manufacturingProgressed", detail: { milestone: "paint" }, ...factory },
        { event: "manufacturingProgressed", detail: { milestone: "assembly" }, ...factory },
        { event: "manufacturingProgressed", detail: { milestone: "qualityCheck" }, ...factory },
        { event: "manufacturingCompleted", to: "ReadyAtFactory", arrow: "VA3", ...factory },
        { event: "customerNotified", to: "PaymentPending", arrow: "VA4", automation: { row: "AU6" } },
      ],
    });
    const list = await car.customer.get(`/api/expedientes/${car.expedienteId}/notifications`);
    const { notifications } = messages.parse(list.body);
    const told = notifications.flatMap(({ row, channel }) => (channel === "email" ? [row] : []));
    // The credentials, the payment, the order, one message a milestone, and the ready message.
    expect(told.join(" ")).toBe("NT1 NT5 NT2 NT3 NT3 NT3 NT3 NT3 NT4");
  });

  test("order, configuration from the plan, progress and VIN reach order, vehicle and expediente [DO5, DA5, DA6, DA7, DA18, DA23]", async () => {
    const car = await platform.sellReadyCar();
    const order = await readOrder(platform, car);
    expect(await platform.staff.sales.get(`/api/orders/${order.id}`)).toMatchObject({
      status: 200,
      body: {
        expedienteId: car.expedienteId,
        reference: `ORD-${car.reference}`,
        factoryOrderId: expect.stringMatching(/^fo_/),
        status: "completed",
        configuration: { base: "ciudad", options: ["winterPack", "premiumSound"] },
        progressPercent: 100,
        vin: expect.stringMatching(/^[A-Z0-9]{17}$/),
      },
    });
    const vehicle = await platform.db
      .selectFrom("vehicles")
      .where("id", "=", car.vehicleId)
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(vehicle).toMatchObject({
      vin: order.vin,
      manufacturing_complete: true,
      factory_order_placed: true,
    });
    expect(await car.customer.get(`/api/expedientes/${car.expedienteId}`)).toMatchObject({
      body: { vehicle: { vin: order.vin }, order: { vin: order.vin, progressPercent: 100 } },
    });
    // Without it the factory would not have completed the car.
    expect(
      await platform.factory("GET", `/_control/orders/${order.factory_order_id}/enrolment`),
    ).toMatchObject({
      vin: order.vin,
    });
    const known = await platform.factory("GET", "/_control/store");
    expect(JSON.stringify(known)).not.toContain("customer.example");
  });

  test("an order is shown to its dealership, not to another one and not to customers [fault 30]", async () => {
    const car = await platform.sellReadyCar();
    const { id } = await readOrder(platform, car);
    expect((await platform.staff.otherSales.get(`/api/orders/${id}`)).status).toBe(404);
    expect((await platform.staff.admin.get(`/api/orders/${id}`)).status).toBe(200);
    expect((await car.customer.get(`/api/orders/${id}`)).status).toBe(403);
  });
});

describe("a factory that fails or whose messages go astray", () => {
  let platform: TestSales;
  beforeAll(async () => {
    platform = await startTestSales({ name: "orders_manual", standIns: ["gateway", "factory"] });
  });
  afterAll(() => platform.close());
  beforeEach(() => platform.factory("DELETE", "/_control/faults"));

  async function ordersOf(reference: string): Promise<unknown[]> {
    const store = await platform.factory("GET", "/_control/store");
    const orders = store !== null && typeof store === "object" && "orders" in store ? store.orders : [];
    return Array.isArray(orders)
      ? orders.filter((order) => JSON.stringify(order).includes(`"${reference}"`))
      : [];
  }

  async function place(): Promise<{ car: SoldCar; data: { orderId: string; reference: string } }> {
    const car = await platform.sell();
    await payReservation(platform, car);
    expect(await platform.runJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
    const order = await readOrder(platform, car);
    return { car, data: { orderId: order.factory_order_id ?? "", reference: order.reference } };
  }

  test.each([
    ["times out after taking the order", { timeOutAfterDoingNext: { count: 1 } }],
    ["times out before taking the order", { timeOutBeforeDoingNext: { count: 1 } }],
    ["answers 503", { failNext: { count: 1, status: 503 } }],
  ])("it %s; the next try ends with exactly one order [fault 28]", async (_what, faults) => {
    const car = await platform.sell();
    await payReservation(platform, car);
    await platform.factory("PUT", "/_control/faults", faults);
    expect(await platform.runJobs()).toBe(1);
    expect(await platform.stateOf(car.vehicleId)).toBe("start");
    expect(await platform.retryJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
    expect(await ordersOf(`ORD-${car.reference}`)).toHaveLength(1);
    expect(await readEvents(platform, car)).toContain("factoryOrderPlaced");
  });

  test("nothing is ordered or built before the reservation is paid, and one car afterwards [DE1, DE8]", async () => {
    const car = await platform.sell();
    const reference = `ORD-${car.reference}`;
    expect(await ordersOf(reference)).toEqual([]);
    await platform.tellFromFactory("order.manufacturing_started", { orderId: "fo_000000", reference });
    expect(await platform.stateOf(car.vehicleId)).toBe("start");
    await payReservation(platform, car);
    await platform.runJobs();
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
    expect(await ordersOf(reference)).toHaveLength(1);
  });

  test("a message that overtakes the answer to our own call proves that the order is placed", async () => {
    const car = await platform.sell();
    await payReservation(platform, car);
    await platform.factory("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    await platform.runJobs();
    const [order] = await ordersOf(`ORD-${car.reference}`);
    const orderId = order !== null && typeof order === "object" ? String(Reflect.get(order, "orderId")) : "";
    const data = { orderId, reference: `ORD-${car.reference}` };
    expect((await platform.tellFromFactory("order.manufacturing_started", data)).status).toBe(200);
    expect(await platform.stateOf(car.vehicleId)).toBe("InManufacturing");
    expect(await platform.retryJobs()).toBe(0);
    const events = await readEvents(platform, car);
    expect(events.filter((event) => event === "factoryOrderPlaced")).toHaveLength(1);
    expect(events.slice(-2)).toEqual(["factoryOrderPlaced", "manufacturingStarted"]);
  });

  test("when every message but the last is lost, the last one proves what they would have said [fault 25]", async () => {
    const { car, data } = await place();
    const vin = vinOf(1);
    expect((await platform.tellFromFactory("order.completed", { ...data, vin })).status).toBe(200);
    expect(await platform.runJobs()).toBe(0);
    expect((await readEvents(platform, car)).slice(-4)).toEqual([
      "manufacturingStarted",
      "vinAssigned",
      "manufacturingCompleted",
      "customerNotified",
    ]);
    const before = await readEvents(platform, car);
    const late = { ...data, progressPercent: 30, milestone: "body", eta: "2026-04-01T00:00:00.000Z" };
    for (const [type, body] of [
      ["order.manufacturing_started", data],
      ["order.vin_assigned", { ...data, vin }],
      ["order.progressed", late],
      ["order.completed", { ...data, vin }],
    ] as const)
      expect((await platform.tellFromFactory(type, body)).status, type).toBe(200);
    expect(await readEvents(platform, car)).toEqual(before);
    expect(await readOrder(platform, car)).toMatchObject({ status: "completed", progress_percent: 100 });
  });

  test("a milestone that comes twice or too late is told once [fault 25]", async () => {
    const { car, data } = await place();
    const at = (milestone: string, progressPercent: number) => ({
      ...data,
      milestone,
      progressPercent,
      eta: "2026-04-01T00:00:00.000Z",
    });
    for (const [milestone, percent] of [
      ["paint", 55],
      ["paint", 55],
      ["body", 30],
    ] as const)
      expect((await platform.tellFromFactory("order.progressed", at(milestone, percent))).status).toBe(200);
    expect((await readEvents(platform, car)).slice(-2)).toEqual([
      "manufacturingStarted",
      "manufacturingProgressed",
    ]);
    expect(await readOrder(platform, car)).toMatchObject({ milestone: "paint", progress_percent: 55 });
  });

  test.each([
    ["VSSZZZ5FZJR000001", "VSSZZZ5FZJR000001"],
    ["WVGZZZ5NZEW000001", "WVGZZZ5NZEW000001"],
    ["VF1RFA00X58000001", "VF1RFA00X58000001"],
    ["YV1MC5851CJ000001", "YV1MC5851CJ000001"],
    [" vsszzz5fzjr000002 ", "VSSZZZ5FZJR000002"],
  ])("the European VIN %j without a North American check digit reaches the order [F1]", async (told, vin) => {
    const { car, data } = await place();
    expect((await platform.tellFromFactory("order.vin_assigned", { ...data, vin: told })).status).toBe(200);
    const order = await readOrder(platform, car);
    expect(order.vin).toBe(vin);
    expect(await platform.staff.sales.get(`/api/orders/${order.id}`)).toMatchObject({
      body: { vin, vinHint: null },
    });
  });

  test("a wrong check digit in a North American VIN is a hint to staff, and no refusal [F1]", async () => {
    const { car, data } = await place();
    const vin = "1M8GDM9A0KP042788";
    expect((await platform.tellFromFactory("order.vin_assigned", { ...data, vin })).status).toBe(200);
    const { id } = await readOrder(platform, car);
    expect(await platform.staff.sales.get(`/api/orders/${id}`)).toMatchObject({
      body: { vin, vinHint: expect.stringContaining("should be X, not 0") },
    });
  });

  test("a message that makes no sense is taken, changes nothing, and is a task that says why [F16]", async () => {
    const { car, data } = await place();
    const other = await place();
    const taken = vinOf(2);
    await platform.tellFromFactory("order.vin_assigned", { ...other.data, vin: taken });
    const before = await readEvents(platform, car);
    for (const [type, body] of [
      ["order.vin_assigned", { ...data, vin: taken }],
      ["order.vin_assigned", { ...data, vin: `${taken.slice(0, 8)}?${taken.slice(9)}` }],
      ...["VSSZZZ5FZJR00001", "VSSZZZ5FZJR0000011", "VSSZZZ5FZJO000001", "VSSZZZ5 ZJR000001"].map(
        (vin) => ["order.vin_assigned", { ...data, vin }] as const,
      ),
      ["order.manufacturing_started", { ...data, orderId: "fo_999999" }],
      ["order.completed", { ...data, reference: "ORD-unknown", vin: vinOf(3) }],
      ["order.delayed", { ...data, days: 3 }],
    ] as const)
      expect(await platform.tellFromFactory(type, body), type).toMatchObject({
        status: 200,
        body: { received: true, duplicate: false },
      });
    expect((await reasonsNotTaken(platform, car.vehicleId)).toSorted()).toEqual([
      expect.stringMatching(/^ORD-.* is the factory's order fo_/),
      ...Array.from({ length: 5 }, () => expect.stringMatching(/^data\.vin: /)),
      expect.stringMatching(/belongs to another vehicle/),
    ]);
    expect(await readEvents(platform, car)).toEqual(before);
    expect(await platform.stateOf(car.vehicleId)).toBe("Ordered");
  });

  test("a time with an offset, one field more and an eta that is null are taken [F15]", async () => {
    const { car, data } = await place();
    const at = { ...data, progressPercent: 30, milestone: "body", plant: { line: 4 } };
    const tell = (more: object) => platform.tellFromFactory("order.progressed", { ...at, ...more });
    expect((await tell({ eta: "2026-04-01T01:30:00+01:00" })).status).toBe(200);
    expect(await readOrder(platform, car)).toMatchObject({
      milestone: "body",
      eta: new Date("2026-04-01T00:30:00Z"),
    });
    expect((await tell({ progressPercent: 55.5, milestone: "paint", eta: null })).status).toBe(200);
    expect(await readOrder(platform, car)).toMatchObject({
      progress_percent: 55,
      milestone: "paint",
      eta: null,
    });
    expect((await tell({ progressPercent: 60, milestone: "windows", eta: "in spring" })).status).toBe(200);
    expect(await readOrder(platform, car)).toMatchObject({
      progress_percent: 60,
      milestone: "windows",
      eta: null,
    });
    expect((await tell({ progressPercent: 70, milestone: null, eta: undefined })).status).toBe(200);
    expect(await readOrder(platform, car)).toMatchObject({ progress_percent: 70, milestone: null });
    expect((await tell({ progressPercent: 101 })).status).toBe(200);
    expect(await readOrder(platform, car)).toMatchObject({ progress_percent: 70 });
  });
});

describe("a ready message that no provider takes", () => {
  let platform: TestSales;
  beforeAll(async () => {
    platform = await startTestSales({
      name: "orders_unheard",
      standIns: ["gateway", "factory"],
      factoryPace: { mode: "auto", milestoneDelayMs: 0 },
    });
  });
  afterAll(() => platform.close());

  test("the car stays ReadyAtFactory, and after 15 minutes the dealership is asked to call the customer [VA4]", async () => {
    const car = await platform.sell();
    platform.fakes.mail.fail(Number.POSITIVE_INFINITY);
    await payReservation(platform, car);
    await platform.untilState(car.vehicleId, "ReadyAtFactory");
    const asked = () =>
      platform.published.filter(
        ({ name, event }) => name === "taskNeeded" && event.kind === "readyNoticeStalled",
      );
    platform.clock.advanceMs(readyNoticePatienceMs - 1_000);
    await platform.runTimers();
    expect(asked()).toEqual([]);
    platform.clock.advanceMs(1_000);
    await platform.runTimers();
    expect(asked()).toMatchObject([{ event: { subject: { vehicleId: car.vehicleId } } }]);
  });
});
