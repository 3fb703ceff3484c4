import { randomUUID } from "node:crypto";
import { partnerClient } from "@caas/simulator/stand-ins/client.ts";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  countAtPartner,
  paid,
  registered,
  startTestSales,
  type TestSales,
  type WrittenSale,
} from "../../testing/fixtures/sales.ts";
import { reasonsNotTaken, tasksAbout } from "../../testing/fixtures/tasks.ts";
import { transportsAbout } from "../../testing/fixtures/transports.ts";
import { transportSecret } from "../../testing/test-platform.ts";

let platform: TestSales;
let control: ReturnType<typeof partnerClient>;

beforeAll(async () => {
  platform = await startTestSales({ name: "delivery", standIns: ["carrier", "inbox", "vss"] });
  control = partnerClient(platform.standIn("carrier").url);
});
afterEach(() => control("DELETE", "/_control/faults"));
afterAll(() => platform?.close());

const transportUrl = (car: WrittenSale) => `/api/expedientes/${car.expedienteId}/transport`;

const contactUrl = (car: WrittenSale) => `/api/expedientes/${car.expedienteId}/contact`;

async function inTransit(): Promise<WrittenSale> {
  const car = await platform.writeSale(registered);
  await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
  await platform.runJobs();
  expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
  return car;
}

const transportsOf = (car: WrittenSale) => transportsAbout(platform.db, car.expedienteId);

async function drive(car: WrittenSale, step: string, more: object = {}): Promise<void> {
  const last = (await transportsOf(car)).findLast((row) => row.carrier_transport_id !== null);
  await control("POST", `/_control/transports/${last?.carrier_transport_id}/steps`, {
    body: { step, ...more },
  });
}

/** Waits for the carrier's own message to have moved the car. */
async function driveUntil(car: WrittenSale, step: string, state: string, more: object = {}): Promise<void> {
  await drive(car, step, more);
  await platform.until(`${step} leads to ${state}`, async () =>
    (await platform.stateOf(car.vehicleId)) === state ? true : undefined,
  );
}

/** A message as the carrier would sign it, whatever the carrier really did; it is judged at once. */
async function tell(car: WrittenSale, type: string, data: object = {}, options: { secret?: string } = {}) {
  const [transport] = await transportsOf(car);
  const body = JSON.stringify({
    type,
    occurredAt: "2026-03-05T10:00:00.000Z",
    data: {
      transportId: transport?.carrier_transport_id ?? "tr_unknown",
      reference: transport?.reference,
      vin: car.vin,
      ...data,
    },
  });
  const id = `msg_${randomUUID()}`;
  const at = new Date();
  const reply = await platform.server.inject({
    method: "POST",
    url: "/webhooks/transport",
    headers: {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(options.secret ?? transportSecret).sign(id, at, body),
    },
    payload: body,
  });
  await platform.runJobs();
  return reply;
}

const notTaken = (car: WrittenSale) => reasonsNotTaken(platform, car.vehicleId);

async function deliveryOf(car: WrittenSale) {
  return platform.db
    .selectFrom("expedientes")
    .where("id", "=", car.expedienteId)
    .select(["delivery", "status"])
    .executeTakeFirstOrThrow();
}

function mailsTo({ customerEmail }: Pick<WrittenSale, "customerEmail">): Promise<string> {
  return partnerClient(platform.standIn("inbox").url)("GET", `/messages?to=${customerEmail}`).then(
    ({ body }) => JSON.stringify(body),
  );
}

describe("arranging transport", () => {
  test("staff name a day, the carrier answers with driver and route, and the car is in transit [AU9, VA9, DO9, DA10]", async () => {
    const car = await platform.writeSale(registered);
    const answer = await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
    expect(answer.status).toBe(202);
    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
    await platform.runJobs();

    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
    expect(await transportsOf(car)).toEqual([
      expect.objectContaining({
        status: "scheduled",
        requested_date: "2026-03-05",
        scheduled_date: "2026-03-05",
        driver: expect.stringMatching(/\S/),
        route: expect.arrayContaining([expect.stringMatching(/Madrid/)]),
      }),
    ]);
    const step = await platform.db
      .selectFrom("steps")
      .where("vehicle_id", "=", car.vehicleId)
      .where("event", "=", "transportArranged")
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(step).toMatchObject({
      arrow: "VA9",
      automation_row: "AU9",
      automatic: false,
      actor_kind: "staff",
      actor_id: platform.staff.sales.userId,
    });
  });

  test("before registration it is refused with the rule and its section, and nobody is asked [DE3]", async () => {
    const car = await platform.writeSale(paid);
    const answer = await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({
      rule: "DE3",
      section: "Process Dependencies and Sequencing → Dependency Rules",
      detail: expect.stringContaining("waits for the vehicle's registration"),
    });
    expect(await transportsOf(car)).toEqual([]);
  });

  test.each([
    ["a day that is past", { date: "2026-03-01" }, 400, "body.date"],
    ["a day that does not exist", { date: "2026-02-30" }, 400, "body.date"],
    ["an unknown field", { date: "2026-03-05", state: "Delivered" }, 400, "state"],
    ["no day", {}, 400, "date"],
  ])("%s is refused and names the field", async (_what, body, status, field) => {
    const car = await platform.writeSale(registered);
    const answer = await platform.staff.sales.post(transportUrl(car), body);
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.body)).toContain(field);
    expect(await transportsOf(car)).toEqual([]);
  });

  test("today is no day past", async () => {
    const car = await platform.writeSale(registered);
    expect((await platform.staff.sales.post(transportUrl(car), { date: "2026-03-02" })).status).toBe(202);
  });

  test("at 00:30 on 2 July in Madrid 1 July is past, whatever UTC says [F21]", async () => {
    const car = await platform.writeSale(registered);
    const before = platform.clock.now();
    platform.clock.set(new Date("2026-07-01T22:30:00.000Z"));
    expect(await platform.staff.sales.post(transportUrl(car), { date: "2026-07-01" })).toMatchObject({
      status: 400,
      body: { detail: "2026-07-01 is past; today is 2026-07-02", errors: [{ field: "body.date" }] },
    });
    expect((await platform.staff.sales.post(transportUrl(car), { date: "2026-07-02" })).status).toBe(202);
    platform.clock.set(before);
  });

  test("the carrier drives to the address of this sale, as it was corrected, and calls its telephone [F20]", async () => {
    const car = await platform.writeSale(registered);
    const address = { street: "Gran Vía 2", city: "Bilbao", postalCode: "48001", country: "ES" };
    await platform.staff.sales.post(contactUrl(car), { address, phone: "+34611000000" });
    await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
    await platform.runJobs();
    const [transport] = await transportsOf(car);
    const { body } = await control("GET", "/_control/store");
    expect(body).toMatchObject({
      transports: expect.arrayContaining([
        expect.objectContaining({
          reference: transport?.reference,
          destination: address,
          contactPhone: "+34611000000",
        }),
      ]),
    });
  });

  test("an address is corrected until the hand-over: not while the carrier is being asked, and with a note afterwards [F20]", async () => {
    const car = await platform.writeSale(registered);
    const correct = (street: string) =>
      platform.staff.sales.post(contactUrl(car), {
        address: { street, city: "Bilbao", postalCode: "48001", country: "ES" },
      });
    await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
    expect(await correct("Gran Vía 2")).toMatchObject({ status: 409, body: { rule: "BC2" } });
    await platform.runJobs();
    expect(await correct("Gran Vía 2")).toMatchObject({
      status: 200,
      body: { notes: [expect.stringContaining("arrange another one")] },
    });
    await driveUntil(car, "started", "InTransit");
    await driveUntil(car, "arrived", "DeliveryAttempt");
    await driveUntil(car, "contacted", "Delivered");
    expect(await correct("Gran Vía 3")).toMatchObject({ status: 409, body: { rule: "BC1" } });
  });

  const bilbao = (street: string) => ({
    address: { street, city: "Bilbao", postalCode: "48001", country: "ES" },
  });

  test("with the car at the customer's door a correction advises no other transport, and the refusal of one names the states that take it [5]", async () => {
    const car = await inTransit();
    await driveUntil(car, "started", "InTransit");
    await driveUntil(car, "arrived", "DeliveryAttempt");
    expect(await platform.staff.sales.post(contactUrl(car), bilbao("Gran Vía 2"))).toMatchObject({
      status: 200,
      body: {
        notes: expect.arrayContaining([
          "the carrier has the transport with the old address: no other one can be arranged while the car is DeliveryAttempt, so tell the carrier by telephone",
        ]),
      },
    });
    expect(await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" })).toMatchObject({
      status: 409,
      body: {
        detail: expect.stringContaining(
          "is possible for the vehicle in Registered or InTransit only; it is DeliveryAttempt",
        ),
      },
    });
    expect(await transportsOf(car)).toHaveLength(1);
  });

  test("before registration a transport is refused by the rule that is not kept, as before [5]", async () => {
    const car = await platform.writeSale(paid);
    expect(await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" })).toMatchObject({
      status: 409,
      body: { rule: expect.stringMatching(/^DE/) },
    });
  });

  test("support corrects an address in transit: the dealership gets a task to tell the carrier [6]", async () => {
    const car = await inTransit();
    const tasks = () => tasksAbout(platform.db, car.expedienteId, "carrierHasOldContact");
    await platform.staff.sales.post(contactUrl(car), bilbao("Gran Vía 2"));
    expect(await tasks()).toEqual([]);
    const corrected = await platform.staff.support.post(contactUrl(car), bilbao("Gran Vía 3"));
    expect(corrected).toMatchObject({
      status: 200,
      body: { notes: expect.arrayContaining([expect.stringContaining("the dealership has a task")]) },
    });
    expect(await tasks()).toEqual([
      {
        title: `The carrier has the old address of ${car.reference}`,
        team: "dealership",
        detail: {
          addressBefore: "Gran Vía 2, 48001 Bilbao, ES",
          address: "Gran Vía 3, 48001 Bilbao, ES",
        },
      },
    ]);
  });

  test("a correction after the registration notes that its document has the old address [7]", async () => {
    const car = await platform.writeSale(registered);
    const document = { authorityId: "reg_1", plate: "1234 BCD", registeredOn: "2026-03-01" };
    await platform.db
      .updateTable("expedientes")
      .set({ registration_document: JSON.stringify(document) })
      .where("id", "=", car.expedienteId)
      .execute();
    const notes = ["the registration document has the old address: have the authority change it"];
    const { sales } = platform.staff;
    expect((await sales.post(contactUrl(car), bilbao("Gran Vía 2"))).body).toMatchObject({ notes });
    expect((await sales.post(contactUrl(car), { phone: "+34611000000" })).body).toMatchObject({ notes: [] });
  });

  test("another dealership, the customer and support may not arrange it", async () => {
    const car = await platform.writeSale(registered);
    const customer = await platform.customerOf(car);
    const body = { date: "2026-03-05" };
    expect((await platform.staff.otherSales.post(transportUrl(car), body)).status).toBe(404);
    expect((await customer.post(transportUrl(car), body)).status).toBe(403);
    expect((await platform.staff.support.post(transportUrl(car), body)).status).toBe(403);
    expect(await transportsOf(car)).toEqual([]);
  });

  test("a second request while the carrier is being asked is a conflict", async () => {
    const car = await platform.writeSale(registered);
    await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
    const again = await platform.staff.sales.post(transportUrl(car), { date: "2026-03-06" });
    expect(again.status).toBe(409);
    expect(await transportsOf(car)).toHaveLength(1);
  });

  test("another transport in place of the first keeps the car in transit, and the first one's news is ignored", async () => {
    const car = await inTransit();
    const [first] = await transportsOf(car);
    await platform.staff.sales.post(transportUrl(car), { date: "2026-03-09" });
    await platform.runJobs();
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
    expect((await transportsOf(car)).map((row) => row.status)).toEqual(["replaced", "scheduled"]);
    const late = await tell(car, "transport.arrived", {
      reference: first?.reference,
      transportId: first?.carrier_transport_id,
    });
    expect(late.statusCode).toBe(200);
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
    await driveUntil(car, "started", "InTransit");
    await driveUntil(car, "arrived", "DeliveryAttempt");
  });

  test("a carrier that refuses leaves the car registered and a task for the dealership, which may ask anew", async () => {
    const car = await platform.writeSale(registered);
    await control("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 422 } } });
    await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
    expect(await platform.runJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
    const tasks = await platform.staff.sales.get("/api/tasks");
    expect(JSON.stringify(tasks.body)).toContain("The carrier refused transport");
    expect((await platform.staff.sales.post(transportUrl(car), { date: "2026-03-06" })).status).toBe(202);
    await platform.runJobs();
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
  });

  test("a refusal is mailed to the dealership's staff, an employee settles it by hand, and the delivery goes on [ES6, ES7, ES8, ND13]", async () => {
    const car = await platform.writeSale(registered);
    const { sales } = platform.staff;
    await control("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 422 } } });
    await sales.post(transportUrl(car), { date: "2026-03-05" });
    await platform.runJobs();
    const title = `The carrier refused transport TRA-${car.reference}-1`;
    const { email } = await platform.db
      .selectFrom("auth_users")
      .where("id", "=", sales.userId)
      .select("email")
      .executeTakeFirstOrThrow();
    expect(await mailsTo({ customerEmail: email })).toContain(`To do: ${title}`);
    const open = expect.objectContaining({ title, status: "open" });
    expect((await sales.get("/api/tasks")).body).toMatchObject({ tasks: expect.arrayContaining([open]) });

    // By telephone the carrier offers another day.
    await sales.post(transportUrl(car), { date: "2026-03-06" });
    await platform.runJobs();
    const task = await platform.db
      .selectFrom("tasks")
      .where("title", "=", title)
      .select("id")
      .executeTakeFirstOrThrow();
    const settled = await sales.post(`/api/tasks/${task.id}/resolution`, { resolution: "Friday instead" });
    expect(settled).toMatchObject({ status: 200, body: { status: "resolved" } });
    expect(await sales.get(`/api/expedientes/${car.expedienteId}`)).toMatchObject({
      body: { vehicle: { state: "InTransit" }, transport: { status: "scheduled", date: "2026-03-06" } },
    });
  });

  test("a carrier that times out after doing it is looked up by our reference: one transport [fault 28]", async () => {
    const car = await platform.writeSale(registered);
    await control("PUT", "/_control/faults", { body: { timeOutAfterDoingNext: { count: 1 } } });
    await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
    expect(await platform.runJobs()).toBe(1);
    expect(await platform.retryJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
    const [transport] = await transportsOf(car);
    expect(await countAtPartner(platform.standIn("carrier"), "transports", transport?.reference ?? "")).toBe(
      1,
    );
  });
});

describe("the journey, as the carrier reports it", () => {
  test("started, arrived, customer present: delivered at home with a record of who received it [VA10, VA11, AU10, SY12, DO10, DO11, DA11, DA25]", async () => {
    const car = await inTransit();
    const customer = await platform.customerOf(car);
    const askForCode = () => customer.post(`/api/vehicles/${car.vehicleId}/link-codes`);
    await drive(car, "started");
    await platform.until("the carrier's start", async () =>
      (await transportsOf(car))[0]?.status === "started" ? true : undefined,
    );
    await platform.runJobs();
    expect(await mailsTo(car)).toContain(`Your car is on its way (${car.reference})`);
    await driveUntil(car, "arrived", "DeliveryAttempt");
    expect(await askForCode()).toMatchObject({ status: 409, body: { rule: "DE4" } });
    await driveUntil(car, "contacted", "Delivered", {
      outcome: "customerPresent",
      receivedBy: "Marina Ferrer",
    });

    const expediente = await customer.get(`/api/expedientes/${car.expedienteId}`);
    expect(expediente.body).toMatchObject({
      status: "completed",
      delivery: {
        status: "success",
        at: "2026-03-02T09:00:00.000Z",
        receivedBy: "Marina Ferrer",
        place: "home",
      },
    });
    // With it the way to the services is open: the app can be linked.
    expect((await askForCode()).status).toBe(202);
    const vehicle = await platform.db
      .selectFrom("vehicles")
      .where("id", "=", car.vehicleId)
      .selectAll()
      .executeTakeFirstOrThrow();
    expect(vehicle).toMatchObject({ owner_customer_id: car.customerId, physically_delivered: true });
    const steps = await platform.db
      .selectFrom("steps")
      .where("vehicle_id", "=", car.vehicleId)
      .where("arrow", "in", ["VA10", "VA11"])
      .orderBy("id")
      .select(["arrow", "automation_row", "actor_id"])
      .execute();
    expect(steps).toEqual([
      { arrow: "VA10", automation_row: "AU10", actor_id: "transport" },
      { arrow: "VA11", automation_row: "AU10", actor_id: "transport" },
    ]);
  });

  test("on delivery the workshops learn the plan the car was sold with [DO17, LF13]", async () => {
    const car = await inTransit();
    await tell(car, "transport.contacted", { outcome: "customerPresent", receivedBy: null });
    expect(await platform.runJobs()).toBe(0);
    const answer = await platform.staff.support.get(`/api/vehicles/${car.vehicleId}/maintenance`);
    expect(answer.body).toMatchObject({
      maintenance: { status: "current", nextDueOn: "2027-03-02", nextDueKm: 15_000, lastServiceOn: null },
    });
  });

  test("the workshops learn the interval of the car's own plan, not that of another one [LF13]", async () => {
    const car = await inTransit();
    const { db } = platform;
    await db
      .insertInto("catalog_plans")
      .values({
        code: "reparto",
        name: "Reparto",
        price_cents: 3_500_000,
        reservation_cents: 50_000,
        maintenance_months: 6,
        maintenance_km: 12_500,
        configuration: JSON.stringify({ maxPowerKw: 100 }),
      })
      .execute();
    const base = { code: "reparto", name: "Reparto", priceCents: 3_500_000 };
    await db
      .updateTable("expedientes")
      .set({ plan_comercial: JSON.stringify({ base, options: [] }) })
      .where("id", "=", car.expedienteId)
      .execute();
    await tell(car, "transport.contacted", { outcome: "customerPresent", receivedBy: null });
    expect(await platform.runJobs()).toBe(0);
    expect(
      (await platform.staff.support.get(`/api/vehicles/${car.vehicleId}/maintenance`)).body,
    ).toMatchObject({
      maintenance: { nextDueOn: "2026-09-02", nextDueKm: 12_500 },
    });
  });

  test("nobody at home: back to the dealership, and picked up there [VA12, VA13, VS11, FA8, FA9]", async () => {
    const car = await inTransit();
    await drive(car, "started");
    await driveUntil(car, "arrived", "DeliveryAttempt");
    await driveUntil(car, "contacted", "AtDealership", { outcome: "customerAbsent" });
    expect(await deliveryOf(car)).toEqual({
      status: "open",
      delivery: { status: "failed", at: expect.any(String), receivedBy: null, place: "home" },
    });
    const told = await platform.db
      .selectFrom("notifications")
      .where("vehicle_id", "=", car.vehicleId)
      .where("row_id", "=", "NT8")
      .orderBy("channel")
      .select(["channel", "status", "address"])
      .execute();
    expect(told).toEqual([
      { channel: "push", status: "channelNotConfigured", address: null },
      { channel: "sms", status: "channelNotConfigured", address: "+34600111222" },
    ]);
    await drive(car, "returned");
    await platform.until("the car is back", async () =>
      (await transportsOf(car))[0]?.status === "returned" ? true : undefined,
    );

    const pickedUp = await platform.staff.sales.post(`/api/expedientes/${car.expedienteId}/pick-up`, {
      receivedBy: "Lucía Ferrer",
    });
    expect(pickedUp.body).toMatchObject({ vehicleState: "Delivered" });
    expect(await deliveryOf(car)).toEqual({
      status: "completed",
      delivery: {
        status: "success",
        at: "2026-03-02T09:00:00.000Z",
        receivedBy: "Lucía Ferrer",
        place: "dealership",
      },
    });
  });

  test.each([
    ["Marta\u202E Gil\r\n", "Marta Gil"],
    ["\u200B", "Lucía Ferrer"],
  ])(
    "the driver's %j as the receiver is %s: the carrier's message is taken, and what is shown is harmless [R14]",
    async (receivedBy, shown) => {
      const car = await inTransit();
      await driveUntil(car, "started", "InTransit");
      await driveUntil(car, "arrived", "DeliveryAttempt");
      const told = await tell(car, "transport.contacted", { outcome: "customerPresent", receivedBy });
      expect(told.statusCode).toBe(200);
      expect(await deliveryOf(car)).toMatchObject({ status: "completed", delivery: { receivedBy: shown } });
    },
  );

  test("a car that nobody missed cannot be picked up", async () => {
    const car = await inTransit();
    const answer = await platform.staff.sales.post(`/api/expedientes/${car.expedienteId}/pick-up`, {
      receivedBy: "Lucía Ferrer",
    });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({ code: "ruleRefused" });
    expect(await deliveryOf(car)).toEqual({ status: "open", delivery: null });
  });

  test("a car handed over without its registration on record stays undelivered [DE10]", async () => {
    const car = await inTransit();
    await platform.db
      .updateTable("vehicles")
      .set({ registration: "requested" })
      .where("id", "=", car.vehicleId)
      .execute();
    const answer = await tell(car, "transport.contacted", { outcome: "customerPresent", receivedBy: null });
    expect(answer.statusCode).toBe(200);
    expect(await notTaken(car)).toEqual([expect.stringContaining("registration")]);
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
    expect(await deliveryOf(car)).toEqual({ status: "open", delivery: null });
  });
});

describe("the carrier's messages, forged, doubled, out of order [fault 25]", () => {
  test("a forged one is refused and changes nothing", async () => {
    const car = await inTransit();
    const answer = await tell(car, "transport.arrived", {}, { secret: "whsec_Zm9yZ2VkLXNlY3JldA==" });
    expect(answer.statusCode).toBe(401);
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
  });

  test("one about another car is a task, one about an unknown transport or of an unknown type is ignored [F16]", async () => {
    const car = await inTransit();
    const other = await platform.writeSale(registered);
    for (const [type, data] of [
      ["transport.arrived", { vin: other.vin }],
      ["transport.arrived", { reference: "TRA-nobody-1" }],
      ["transport.delayed", { hours: 3 }],
    ] as const)
      expect((await tell(car, type, data)).statusCode).toBe(200);
    expect(await notTaken(car)).toEqual([expect.stringContaining(other.vin)]);
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
  });

  test("one with a field more, and a receiver that is null or absent, is taken [F15]", async () => {
    for (const data of [{ receivedBy: null, signature: "data:…" }, {}, { receivedBy: 7 }]) {
      const car = await inTransit();
      const answer = await tell(car, "transport.contacted", { outcome: "customerPresent", ...data });
      expect(answer.statusCode).toBe(200);
      expect(await platform.stateOf(car.vehicleId)).toBe("Delivered");
      expect((await deliveryOf(car)).delivery).toMatchObject({ receivedBy: car.customerName });
    }
  });

  test("one that overtakes its predecessors brings their steps along, once", async () => {
    const car = await inTransit();
    expect((await tell(car, "transport.returned")).statusCode).toBe(200);
    expect(await platform.stateOf(car.vehicleId)).toBe("AtDealership");
    for (const type of ["transport.started", "transport.arrived", "transport.returned"])
      expect((await tell(car, type)).statusCode).toBe(200);
    const steps = await platform.db
      .selectFrom("steps")
      .where("vehicle_id", "=", car.vehicleId)
      .orderBy("id")
      .select("event")
      .execute();
    expect(steps.map((step) => step.event)).toEqual([
      "transportArranged",
      "transportStarted",
      "arrivedAtCustomerAddress",
      "customerAbsent",
      "returnedToDealership",
    ]);
  });

  test("one that contradicts the delivery on record is refused", async () => {
    const car = await inTransit();
    await tell(car, "transport.contacted", { outcome: "customerPresent", receivedBy: "Marina Ferrer" });
    const answer = await tell(car, "transport.contacted", { outcome: "customerAbsent", receivedBy: null });
    expect(answer.statusCode).toBe(200);
    expect(await notTaken(car)).toEqual([expect.stringContaining("contradicts")]);
    expect(await platform.stateOf(car.vehicleId)).toBe("Delivered");
    expect((await deliveryOf(car)).delivery).toMatchObject({ receivedBy: "Marina Ferrer" });
  });

  test("one that comes before we have recorded the carrier's answer is taken when it has been", async () => {
    const car = await platform.writeSale(registered);
    await control("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 503 } } });
    await platform.staff.sales.post(transportUrl(car), { date: "2026-03-05" });
    expect((await tell(car, "transport.started")).statusCode).toBe(200);
    expect((await transportsOf(car))[0]?.status).toBe("requested");
    await platform.retryJobs();
    await platform.retryJobs();
    expect((await transportsOf(car))[0]?.status).toBe("started");
  });
});
