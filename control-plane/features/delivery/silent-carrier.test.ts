import { hourMs } from "@caas/contract/durations.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { triesBeforeAlarm } from "../../rules/partner-patience.ts";
import type { TaskKind } from "../../rules/task-table.ts";
import {
  registered,
  startTestSales,
  type TestSales,
  type WrittenSale,
} from "../../testing/fixtures/sales.ts";
import { tasksAbout } from "../../testing/fixtures/tasks.ts";
import { transportsAbout } from "../../testing/fixtures/transports.ts";
import { callOffTransport } from "./call-off-transport.ts";

// What becomes of a transport when the carrier says no, does not answer, or its messages are lost.

let platform: TestSales;
beforeAll(async () => {
  platform = await startTestSales({ name: "silent_carrier", standIns: ["carrier"] });
});
afterEach(() => carrier("DELETE", "/_control/faults"));
afterAll(() => platform?.close());

const carrier = (...asked: Parameters<ReturnType<TestSales["standIn"]>["control"]>) =>
  platform.standIn("carrier").control(...asked);
const lost = { dropWebhooksNext: { count: 100 } };

/** Asks for transport the day after tomorrow; how many jobs failed. */
async function ask(car: WrittenSale, faults: object = {}): Promise<number> {
  await carrier("PUT", "/_control/faults", faults);
  const date = new Date(platform.clock.now().getTime() + 48 * hourMs).toISOString().slice(0, 10);
  const asked = await platform.staff.sales.post(`/api/expedientes/${car.expedienteId}/transport`, { date });
  expect(asked.status).toBe(202);
  return platform.runJobs();
}

async function inTransit(faults: object = {}): Promise<WrittenSale> {
  const car = await platform.writeSale(registered);
  expect(await ask(car, faults)).toBe(0);
  expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
  return car;
}

const transportsOf = (car: WrittenSale) => transportsAbout(platform.db, car.expedienteId);

async function lastOf(car: WrittenSale) {
  const last = (await transportsOf(car)).at(-1);
  if (last === undefined) throw new Error("no transport");
  return last;
}

async function drive(car: WrittenSale, ...steps: object[]): Promise<void> {
  const { carrier_transport_id: id } = await lastOf(car);
  for (const step of steps) await carrier("POST", `/_control/transports/${id}/steps`, step);
}

const atCarrier = z.object({
  transports: z.array(z.looseObject({ reference: z.string(), status: z.string() })),
});

/** In the carrier's own books. */
async function statusesAtCarrier(car: WrittenSale): Promise<string[]> {
  const { transports } = atCarrier.parse(await carrier("GET", "/_control/store"));
  return transports
    .filter(({ reference }) => reference.startsWith(`TRA-${car.reference}-`))
    .toSorted((a, b) => a.reference.localeCompare(b.reference))
    .map(({ status }) => status);
}

const tasksOf = (car: WrittenSale, kind: TaskKind) => tasksAbout(platform.db, car.expedienteId, kind);

async function hoursLater(hours: number): Promise<void> {
  platform.clock.advanceMs(hours * hourMs);
  await platform.runTimers();
  await platform.runJobs();
}

const shown = z.looseObject({
  transport: z.looseObject({
    status: z.string(),
    tries: z.int(),
    lastError: z.string().nullable(),
    nextTryAt: z.iso.datetime().nullable(),
  }),
});
const show = async (car: WrittenSale) =>
  shown.parse((await platform.staff.sales.get(`/api/expedientes/${car.expedienteId}`)).body).transport;

describe("a replaced transport", () => {
  test("is called off at the carrier: after two replacements one lorry drives, and no task is left [N1]", async () => {
    const car = await inTransit();
    await ask(car);
    await ask(car);
    expect(await statusesAtCarrier(car)).toEqual(["calledOff", "calledOff", "scheduled"]);
    expect(
      (await transportsOf(car)).map(({ status, called_off_at }) => [status, called_off_at !== null]),
    ).toEqual([
      ["replaced", true],
      ["replaced", true],
      ["scheduled", false],
    ]);
    expect(await platform.retryJobs()).toBe(0);
    expect(await tasksOf(car, "transportNotCalledOff")).toEqual([]);
  });

  test("that the carrier will not call off is a task with the carrier's words [N1]", async () => {
    const car = await inTransit(lost);
    await drive(car, { step: "started" }, { step: "arrived" });
    await ask(car);
    const [first] = await transportsOf(car);
    expect(await statusesAtCarrier(car)).toEqual(["arrived", "scheduled"]);
    expect(await tasksOf(car, "transportNotCalledOff")).toEqual([
      {
        team: "dealership",
        title: `The carrier did not call off transport ${first?.reference}, which is not needed any more`,
        detail: {
          reference: first?.reference,
          reason: "too_late: the transport is arrived already",
          status: 409,
        },
      },
    ]);
    expect(await platform.retryJobs()).toBe(0);
  });

  test("whose calling off was not answered is looked up, and called off once [N1]", async () => {
    const car = await inTransit();
    const { id } = await lastOf(car);
    await platform.db.updateTable("transports").set({ status: "replaced" }).where("id", "=", id).execute();
    const callOff = (attempt: number) =>
      callOffTransport(platform.context, platform.partners.carrier, id, attempt);
    await carrier("PUT", "/_control/faults", { timeOutAfterDoingNext: { count: 1 } });
    await expect(callOff(1)).rejects.toThrow(/transport/);
    expect((await lastOf(car)).called_off_at).toBeNull();
    await callOff(2);
    expect((await lastOf(car)).called_off_at).toEqual(platform.clock.now());
    expect(await statusesAtCarrier(car)).toEqual(["calledOff"]);
  });

  test("that is the new one, because the first has arrived meanwhile, is called off itself [N1]", async () => {
    const car = await inTransit();
    await ask(car, { failNext: { count: 1, status: 503 } });
    const [first] = await transportsOf(car);
    for (const step of ["started", "arrived"])
      await carrier("POST", `/_control/transports/${first?.carrier_transport_id}/steps`, { step });
    await platform.untilState(car.vehicleId, "DeliveryAttempt");
    await platform.retryJobs();
    expect(await statusesAtCarrier(car)).toEqual(["arrived", "calledOff"]);
    expect((await transportsOf(car)).map(({ status }) => status)).toEqual(["arrived", "replaced"]);
  });
});

describe("a car that nobody took at home", () => {
  const pickUpUrl = (car: WrittenSale) => `/api/expedientes/${car.expedienteId}/pick-up`;
  const returnUrl = (car: WrittenSale) => `/api/expedientes/${car.expedienteId}/return`;
  const by = { receivedBy: "Lucía Ferrer" };

  async function nobodyAtHome(): Promise<WrittenSale> {
    const car = await inTransit();
    await drive(
      car,
      { step: "started" },
      { step: "arrived" },
      { step: "contacted", outcome: "customerAbsent" },
    );
    await platform.untilState(car.vehicleId, "AtDealership");
    return car;
  }

  test("cannot be picked up while the carrier has it: the refusal names rule and section [N2, FA9]", async () => {
    const car = await nobodyAtHome();
    expect(await platform.staff.sales.post(pickUpUrl(car), by)).toMatchObject({
      status: 409,
      body: {
        code: "ruleRefused",
        rule: "AG9",
        section: "Additions to the specification",
        detail: expect.stringContaining("not back at the dealership yet (VX8)"),
      },
    });
    expect(await platform.stateOf(car.vehicleId)).toBe("AtDealership");
    await drive(car, { step: "returned" });
    await platform.until("the car is back", async () =>
      (await lastOf(car)).status === "returned" ? true : undefined,
    );
    expect((await platform.staff.sales.post(pickUpUrl(car), by)).body).toMatchObject({
      vehicleState: "Delivered",
    });
  });

  test("is back once staff have seen it, also when the carrier does not say so [N2]", async () => {
    const car = await nobodyAtHome();
    const customer = await platform.customerOf(car);
    expect((await customer.post(returnUrl(car), {})).status).toBe(403);
    expect((await platform.staff.otherSales.post(returnUrl(car), {})).status).toBe(404);
    expect(await platform.staff.sales.post(returnUrl(car), {})).toMatchObject({
      status: 200,
      body: { vehicleState: "AtDealership" },
    });
    expect((await platform.staff.sales.post(returnUrl(car), {})).status).toBe(409);
    expect((await platform.staff.sales.post(pickUpUrl(car), by)).status).toBe(200);
    // The carrier's own word comes late, and changes nothing.
    await drive(car, { step: "returned" });
    await platform.runJobs();
    expect(await platform.stateOf(car.vehicleId)).toBe("Delivered");
    expect(await tasksOf(car, "messageNotTaken")).toEqual([]);
  });

  test("is not back while it is still on its way to the customer [N2]", async () => {
    const car = await inTransit();
    expect(await platform.staff.sales.post(returnUrl(car), {})).toMatchObject({
      status: 409,
      body: { code: "ruleRefused" },
    });
    expect((await lastOf(car)).status).toBe("scheduled");
  });
});

describe("a carrier that refuses or does not answer", () => {
  test("its refusal is a task with its words, and the transport shows them [N4]", async () => {
    const car = await platform.writeSale(registered);
    const refuseNext = { count: 1, status: 422, code: "no_lorry", message: "nothing is free that day" };
    expect(await ask(car, { refuseNext })).toBe(0);
    const reason = "no_lorry: nothing is free that day";
    expect(await show(car)).toMatchObject({
      status: "refused",
      tries: 1,
      lastError: reason,
      nextTryAt: null,
    });
    const reference = `TRA-${car.reference}-1`;
    expect(await tasksOf(car, "transportRefused")).toEqual([
      {
        team: "dealership",
        title: `The carrier refused transport ${reference}`,
        detail: { reference, reason, status: 422 },
      },
    ]);
    expect(await ask(car)).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
  });

  test("it is asked again with growing waits, which the transport shows; after six tries a person hears [N4]", async () => {
    const car = await platform.writeSale(registered);
    expect(await ask(car, { failNext: { count: triesBeforeAlarm, status: 503 } })).toBe(1);
    const waits: number[] = [];
    for (let tries = 1; tries <= triesBeforeAlarm; tries += 1) {
      const { nextTryAt, ...transport } = await show(car);
      expect(transport).toMatchObject({
        status: "requested",
        tries,
        lastError: expect.stringContaining("503"),
      });
      waits.push(Date.parse(nextTryAt ?? "") - Date.now());
      expect(await tasksOf(car, "partnerUnreachable")).toHaveLength(tries < triesBeforeAlarm ? 0 : 1);
      await platform.retryJobs();
    }
    expect(waits.every((wait, index) => wait > 1.5 * (waits[index - 1] ?? 1))).toBe(true);
    expect(await platform.stateOf(car.vehicleId)).toBe("InTransit");
    expect(await show(car)).toMatchObject({ status: "scheduled", lastError: null, nextTryAt: null });
  });
});

describe("a carrier whose messages are lost", () => {
  test("is asked on the day, and what it says moves the car as its messages would have [N3, fault 25]", async () => {
    const car = await inTransit(lost);
    await hoursLater(24);
    await drive(car, { step: "started" }, { step: "arrived" });
    await hoursLater(24 + 12);
    expect(await platform.stateOf(car.vehicleId)).toBe("DeliveryAttempt");
    await drive(car, { step: "contacted", outcome: "customerPresent", receivedBy: "Marina Ferrer" });
    await hoursLater(12);
    expect(await platform.stateOf(car.vehicleId)).toBe("Delivered");
    const sale = await platform.db
      .selectFrom("expedientes")
      .where("id", "=", car.expedienteId)
      .select(["delivery", "status"])
      .executeTakeFirstOrThrow();
    expect(sale).toMatchObject({
      status: "completed",
      delivery: { receivedBy: "Marina Ferrer", place: "home" },
    });
    expect(await tasksOf(car, "partnerSilent")).toEqual([]);
  });

  test("brings the car back to the dealership, and it can be picked up [N3, N2]", async () => {
    const car = await inTransit(lost);
    await drive(
      car,
      { step: "started" },
      { step: "arrived" },
      { step: "contacted", outcome: "customerAbsent" },
    );
    await hoursLater(48 + 12);
    expect(await platform.stateOf(car.vehicleId)).toBe("AtDealership");
    await drive(car, { step: "returned" });
    await hoursLater(12);
    const by = { receivedBy: "Lucía Ferrer" };
    const pickedUp = await platform.staff.sales.post(`/api/expedientes/${car.expedienteId}/pick-up`, by);
    expect(pickedUp.status).toBe(200);
  });

  test("and that has no news two days after the day is a person's task, once [N3]", async () => {
    const car = await inTransit();
    for (let hours = 0; hours < 72; hours += 12) await hoursLater(12);
    expect(await tasksOf(car, "partnerSilent")).toEqual([]);
    for (let hours = 0; hours < 48; hours += 12) await hoursLater(12);
    const { reference } = await lastOf(car);
    expect(await tasksOf(car, "partnerSilent")).toMatchObject([
      { title: `The carrier has no news of ${reference}`, detail: { reason: "the carrier says scheduled" } },
    ]);
  });
});

test("a carrier of another release, with offsets, new fields and types of its own, delivers the car [F15, F16]", async () => {
  const car = await inTransit({ oddWebhooks: true });
  await drive(
    car,
    { step: "started" },
    { step: "arrived" },
    { step: "contacted", outcome: "customerPresent" },
  );
  await platform.untilState(car.vehicleId, "Delivered");
  expect(await tasksOf(car, "messageNotTaken")).toEqual([]);
});
