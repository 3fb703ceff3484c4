import { randomUUID } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import { partnerClient } from "@caas/simulator/stand-ins/client.ts";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { triesBeforeAlarm } from "../../rules/partner-patience.ts";
import type { TaskKind } from "../../rules/task-table.ts";
import { newSale } from "../../testing/fixtures/people.ts";
import {
  countAtPartner,
  paid,
  startTestSales,
  type TestSales,
  type WrittenSale,
} from "../../testing/fixtures/sales.ts";
import { tasksAbout } from "../../testing/fixtures/tasks.ts";
import { factorySecret, transportSecret } from "../../testing/test-platform.ts";

let platform: TestSales;
let control: ReturnType<typeof partnerClient>;

beforeAll(async () => {
  platform = await startTestSales({
    name: "registration",
    standIns: ["gateway", "authority", "carrier", "inbox"],
  });
  control = partnerClient(platform.standIn("authority").url);
});
afterEach(() => control("DELETE", "/_control/faults"));
afterAll(() => platform?.close());

async function announcePayment(car: WrittenSale): Promise<void> {
  const event = { expedienteId: car.expedienteId, paymentId: car.expedienteId };
  await platform.inTransaction((tx) =>
    platform.registration.onFinalPaymentReceived(tx, [{ ...event, actor: { kind: "system" } }]),
  );
}

function stepsOf(car: WrittenSale) {
  return platform.db
    .selectFrom("steps")
    .where("vehicle_id", "=", car.vehicleId)
    .orderBy("id")
    .select(["event", "from_state", "to_state", "arrow", "automation_row", "automatic", "actor_id"])
    .execute();
}

const registrationsAtAuthority = (reference: string) =>
  countAtPartner(platform.standIn("authority"), "registrations", `REG-${reference}`);

describe("registration with the authority", () => {
  test("the final payment registers the vehicle unaided, and the document reaches the expediente [VA5, DO7, DO8, SY10, DA9]", async () => {
    const car = await platform.writeSale(paid);
    await announcePayment(car);
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    expect(await platform.runJobs()).toBe(0);

    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
    const expediente = await platform.staff.sales.get(`/api/expedientes/${car.expedienteId}`);
    expect(expediente.body).toMatchObject({
      vehicle: { state: "Registered" },
      registrationDocument: {
        authorityId: expect.stringMatching(/^reg_/),
        plate: expect.stringMatching(/^\d{4} [A-Z]{3}$/),
        registeredOn: expect.stringMatching(/^\d{4}-\d{2}-\d{2}$/),
      },
    });
    expect(await stepsOf(car)).toEqual([
      expect.objectContaining({ event: "registrationRequested", automation_row: "AU8", automatic: true }),
      {
        event: "vehicleRegistered",
        from_state: "PaymentPending",
        to_state: "Registered",
        arrow: "VA5",
        automation_row: "AU8",
        automatic: true,
        actor_id: "authority",
      },
    ]);
  });

  test("the expediente has the registration document before a transport can be in it [DA24]", async () => {
    const car = await platform.writeSale(paid);
    const url = `/api/expedientes/${car.expedienteId}`;
    const { sales } = platform.staff;
    const arrange = () => sales.post(`${url}/transport`, { date: "2026-03-05" });
    await announcePayment(car);
    expect(await arrange()).toMatchObject({ status: 409, body: { rule: "DE3" } });
    expect((await sales.get(url)).body).toMatchObject({ registrationDocument: null, transport: null });
    await platform.runJobs();
    expect(await arrange()).toMatchObject({ status: 202 });
    await platform.runJobs();
    expect((await sales.get(url)).body).toMatchObject({
      registrationDocument: { authorityId: expect.stringMatching(/^reg_/) },
      transport: { status: "scheduled", date: "2026-03-05" },
    });
    const { body } = await sales.get(`${url}/steps`);
    const events = JSON.stringify(body);
    expect(events).toMatch(/vehicleRegistered.*transportArranged/);
  });

  test("factory and carrier speak at entrances of their own, which no other's signature opens, and the authority is asked at its own [DO22]", async () => {
    const secrets = { factory: factorySecret, transport: transportSecret };
    const body = JSON.stringify({
      type: "order.manufacturing_started",
      occurredAt: platform.clock.now().toISOString(),
      data: { orderId: "fo_1", reference: "ORD-unknown" },
    });
    const knock = async (entrance: "factory" | "transport", signer: "factory" | "transport") => {
      const [id, at] = [`msg_${randomUUID()}`, new Date()];
      const reply = await platform.server.inject({
        method: "POST",
        url: `/webhooks/${entrance}`,
        headers: {
          "content-type": "application/json",
          "webhook-id": id,
          "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
          "webhook-signature": new Webhook(secrets[signer]).sign(id, at, body),
        },
        payload: body,
      });
      return reply.statusCode;
    };
    expect(await knock("factory", "factory")).toBe(200);
    expect(await knock("transport", "transport")).toBe(200);
    expect(await knock("factory", "transport")).toBe(401);
    expect(await knock("transport", "factory")).toBe(401);

    const car = await platform.writeSale(paid);
    await announcePayment(car);
    await platform.runJobs();
    expect(await registrationsAtAuthority(car.reference)).toBe(1);
  });

  test("the customer is told of the registration with its plate [NT6]", async () => {
    const car = await platform.writeSale(paid);
    await announcePayment(car);
    await platform.runJobs();
    const mail = await partnerClient(platform.standIn("inbox").url)(
      "GET",
      `/messages?to=${car.customerEmail}`,
    );
    const text = JSON.stringify(mail.body);
    const { registration_document: document } = await platform.db
      .selectFrom("expedientes")
      .select("registration_document")
      .where("id", "=", car.expedienteId)
      .executeTakeFirstOrThrow();
    expect(text).toContain(`Your car is registered: ${document?.plate} (${car.reference})`);
    expect(text).toContain(car.vin);
  });

  test("two sales to one customer are registered each in its own owner's name, for its own address [F20]", async () => {
    const { sales } = platform.staff;
    const person = newSale({ name: "Lucía Ferrer" });
    const company = {
      ...person,
      customer: {
        ...person.customer,
        kind: "company",
        name: "Talleres Ribera S.A.",
        identityDocument: { kind: "cif", number: "A58818501" },
        contactPerson: "Lucía Ferrer",
        address: { street: "Polígono Malpica 4", city: "Zaragoza", postalCode: "50016", country: "ES" },
      },
    };
    const references: string[] = [];
    for (const sale of [person, company]) {
      const sold = await sales.post("/api/sales", sale);
      const written = await platform.writeSale(paid);
      // The car of a sale that has come so far.
      await platform.db
        .updateTable("expedientes")
        .set({ vehicle_id: written.vehicleId })
        .where("id", "=", sold.text("expediente.id"))
        .execute();
      const expedienteId = sold.text("expediente.id");
      await announcePayment({ ...written, expedienteId });
      references.push(`REG-${sold.text("expediente.reference")}`);
    }
    await platform.runJobs();
    const { body } = await control("GET", "/_control/store");
    const { kind: _kind, contactPerson: _contact, email: _email, phone: _phone, ...owner } = company.customer;
    expect(body).toMatchObject({
      registrations: expect.arrayContaining([
        expect.objectContaining({
          reference: references[0],
          owner: { name: "Lucía Ferrer", address: person.customer.address },
        }),
        expect.objectContaining({ reference: references[1], owner }),
      ]),
    });
  });

  test("a document of 00:30 on 2 July in Madrid is dated 2 July, in the record and in the mail [F21]", async () => {
    const before = platform.clock.now();
    platform.clock.set(new Date("2026-07-01T22:30:00.000Z"));
    const car = await platform.writeSale(paid);
    await announcePayment(car);
    await platform.runJobs();
    platform.clock.set(before);
    const expediente = await platform.staff.sales.get(`/api/expedientes/${car.expedienteId}`);
    expect(expediente.body).toMatchObject({ registrationDocument: { registeredOn: "2026-07-02" } });
    const mail = await partnerClient(platform.standIn("inbox").url)(
      "GET",
      `/messages?to=${car.customerEmail}`,
    );
    expect(JSON.stringify(mail.body)).toContain("Registered on: 2 July 2026");
  });

  test("no registration is asked for without the final payment [DE2]", async () => {
    const car = await platform.writeSale({ ...paid, final_payment: "none" });
    await expect(announcePayment(car)).rejects.toThrow(/DE2.*final payment/);
    await platform.runJobs();
    expect(await registrationsAtAuthority(car.reference)).toBe(0);
    expect(await stepsOf(car)).toEqual([]);
  });

  test("a payment announced twice is registered once", async () => {
    const car = await platform.writeSale(paid);
    await announcePayment(car);
    await announcePayment(car);
    await platform.runJobs();
    expect((await stepsOf(car)).map((step) => step.event)).toEqual([
      "registrationRequested",
      "vehicleRegistered",
    ]);
    expect(await registrationsAtAuthority(car.reference)).toBe(1);
  });

  test("the authority times out after doing it: looked up by our reference, one registration [fault 28, FA12]", async () => {
    const car = await platform.writeSale(paid);
    await control("PUT", "/_control/faults", { body: { timeOutAfterDoingNext: { count: 1 } } });
    await announcePayment(car);
    expect(await platform.runJobs()).toBe(1);
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    expect(await platform.retryJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
    expect(await registrationsAtAuthority(car.reference)).toBe(1);
  });

  test("an authority that is down is asked again until it answers [FA12]", async () => {
    const car = await platform.writeSale(paid);
    await control("PUT", "/_control/faults", { body: { failNext: { count: 2, status: 503 } } });
    await announcePayment(car);
    expect(await platform.runJobs()).toBe(1);
    expect(await platform.retryJobs()).toBe(1);
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");
    expect(await platform.retryJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
  });

  const refuseNext = {
    count: 1,
    status: 422,
    code: "owner_unknown",
    message: "the owner is not in the census",
  };
  const registrationOf = async (car: WrittenSale, person = platform.staff.sales) =>
    z
      .looseObject({ registration: z.unknown() })
      .parse((await person.get(`/api/expedientes/${car.expedienteId}`)).body).registration;
  const tasksOf = (car: WrittenSale, kind: TaskKind) => tasksAbout(platform.db, car.expedienteId, kind);

  test("an authority that refuses is a person's task at once, with its words, and is asked again when staff say so [N4, FA12]", async () => {
    const car = await platform.writeSale(paid);
    await control("PUT", "/_control/faults", { body: { refuseNext } });
    await announcePayment(car);
    expect(await platform.runJobs()).toBe(0);
    const reference = `REG-${car.reference}`;
    const reason = "owner_unknown: the owner is not in the census";
    expect(await registrationOf(car)).toMatchObject({
      reference,
      status: "requested",
      tries: 1,
      lastError: reason,
      nextTryAt: null,
    });
    const customer = await platform.customerOf(car);
    expect(await registrationOf(car, customer)).toMatchObject({ tries: 1, lastError: null });
    expect(await tasksOf(car, "registrationRefused")).toEqual([
      {
        team: "dealership",
        title: `The authority refused registration ${reference}`,
        detail: { reference, reason, status: 422 },
      },
    ]);
    expect(await platform.retryJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("PaymentPending");

    const url = `/api/expedientes/${car.expedienteId}/registration/retry`;
    expect((await customer.post(url, {})).status).toBe(403);
    expect((await platform.staff.otherSales.post(url, {})).status).toBe(404);
    expect((await platform.staff.sales.post(url, {})).status).toBe(202);
    await platform.runJobs();
    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
    expect(await registrationOf(car)).toMatchObject({ status: "recorded", lastError: null, nextTryAt: null });
    expect((await platform.staff.sales.post(url, {})).status).toBe(409);
  });

  test("no registration can be asked for again before there was one", async () => {
    const car = await platform.writeSale({ ...paid, final_payment: "none" });
    const url = `/api/expedientes/${car.expedienteId}/registration/retry`;
    expect(await platform.staff.sales.post(url, {})).toMatchObject({
      status: 409,
      body: { detail: expect.stringContaining("final payment") },
    });
  });

  test("an authority that answers 503 is asked again with growing waits, which the expediente shows; after six tries a person hears [N4, FA12]", async () => {
    const car = await platform.writeSale(paid);
    await control("PUT", "/_control/faults", {
      body: { failNext: { count: triesBeforeAlarm, status: 503 } },
    });
    await announcePayment(car);
    await platform.runJobs();
    const waits: number[] = [];
    for (let tries = 1; tries <= triesBeforeAlarm; tries += 1) {
      const shown = asked.parse(await registrationOf(car));
      expect(shown).toMatchObject({ tries, lastError: expect.stringContaining("503") });
      waits.push(Date.parse(shown.nextTryAt) - Date.now());
      expect(await tasksOf(car, "partnerUnreachable")).toHaveLength(tries < triesBeforeAlarm ? 0 : 1);
      await platform.retryJobs();
    }
    expect(waits.every((wait, index) => wait > 1.5 * (waits[index - 1] ?? 1))).toBe(true);
    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
  });

  const asked = z.looseObject({ nextTryAt: z.iso.datetime() });

  test("a registration whose answer was lost for good is found at the authority after a day [N3]", async () => {
    const car = await platform.writeSale(paid);
    await control("PUT", "/_control/faults", { body: { timeOutAfterDoingNext: { count: 1 } } });
    await announcePayment(car);
    await platform.runJobs();
    await platform.db.deleteFrom("jobs").where("kind", "=", "registerVehicle").execute();
    platform.clock.advanceMs(dayMs);
    await platform.runTimers();
    expect(await platform.runJobs()).toBe(0);
    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
    expect(await registrationsAtAuthority(car.reference)).toBe(1);
    expect(await tasksOf(car, "partnerSilent")).toEqual([]);
  });

  test("a registration that the authority does not have after a day is a person's task, and is asked for again [N3]", async () => {
    const car = await platform.writeSale(paid);
    await control("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 503 } } });
    await announcePayment(car);
    await platform.runJobs();
    await platform.db.deleteFrom("jobs").where("kind", "=", "registerVehicle").execute();
    platform.clock.advanceMs(dayMs);
    await platform.runTimers();
    await platform.runJobs();
    expect(await tasksOf(car, "partnerSilent")).toMatchObject([
      { title: `The authority has no news of REG-${car.reference}` },
    ]);
    expect(await platform.stateOf(car.vehicleId)).toBe("Registered");
  });
});
