import { partnerClient } from "@caas/simulator/stand-ins/client.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  type AfterSales,
  countAtPartner,
  createAfterSales,
  paid,
  type SoldCar,
} from "../../testing/after-sales.ts";

let desk: AfterSales;
let control: ReturnType<typeof partnerClient>;

beforeAll(async () => {
  desk = await createAfterSales("registration");
  control = partnerClient(desk.authority.url);
});
afterEach(() => control("DELETE", "/_control/faults"));
afterAll(() => desk?.close());

async function announcePayment(car: SoldCar): Promise<void> {
  const event = { expedienteId: car.expedienteId, paymentId: car.expedienteId };
  await desk.inTransaction((tx) =>
    desk.registration.onFinalPaymentReceived(tx, [{ ...event, actor: { kind: "system" } }]),
  );
}

function stepsOf(car: SoldCar) {
  return desk.platform.db
    .selectFrom("steps")
    .where("vehicle_id", "=", car.vehicleId)
    .orderBy("id")
    .select(["event", "from_state", "to_state", "arrow", "automation_row", "automatic", "actor_id"])
    .execute();
}

const registrationsAtAuthority = (reference: string) =>
  countAtPartner(desk.authority, "registrations", `REG-${reference}`);

describe("registration with the authority", () => {
  test("the final payment registers the vehicle unaided, and the document reaches the expediente [AU8, VA5, DO7, DO8, DA9, DA24]", async () => {
    const car = await desk.sell(paid);
    await announcePayment(car);
    expect(await desk.stateOf(car)).toBe("PaymentPending");
    expect(await desk.platform.runJobs()).toBe(0);

    expect(await desk.stateOf(car)).toBe("Registered");
    const expediente = await desk.platform.db
      .selectFrom("expedientes")
      .select("registration_document")
      .where("id", "=", car.expedienteId)
      .executeTakeFirstOrThrow();
    expect(expediente.registration_document).toEqual({
      authorityId: expect.stringMatching(/^reg_/),
      plate: expect.stringMatching(/^\d{4} [A-Z]{3}$/),
      registeredOn: expect.stringMatching(/^\d{4}-\d{2}-\d{2}$/),
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

  test("the customer is told of the registration with its plate [NT6]", async () => {
    const car = await desk.sell(paid);
    await announcePayment(car);
    await desk.platform.runJobs();
    const mail = await partnerClient(desk.inbox.url)("GET", `/messages?to=${car.customerEmail}`);
    const text = JSON.stringify(mail.body);
    const { registration_document: document } = await desk.platform.db
      .selectFrom("expedientes")
      .select("registration_document")
      .where("id", "=", car.expedienteId)
      .executeTakeFirstOrThrow();
    expect(text).toContain(`Your car is registered: ${document?.plate} (${car.reference})`);
    expect(text).toContain(car.vin);
  });

  test("no registration is asked for without the final payment [DE2]", async () => {
    const car = await desk.sell({ ...paid, final_payment: "none" });
    await expect(announcePayment(car)).rejects.toThrow(/DE2.*final payment/);
    await desk.platform.runJobs();
    expect(await registrationsAtAuthority(car.reference)).toBe(0);
    expect(await stepsOf(car)).toEqual([]);
  });

  test("a payment announced twice is registered once", async () => {
    const car = await desk.sell(paid);
    await announcePayment(car);
    await announcePayment(car);
    await desk.platform.runJobs();
    expect((await stepsOf(car)).map((step) => step.event)).toEqual([
      "registrationRequested",
      "vehicleRegistered",
    ]);
    expect(await registrationsAtAuthority(car.reference)).toBe(1);
  });

  test("the authority times out after doing it: looked up by our reference, one registration [fault 28, FA12]", async () => {
    const car = await desk.sell(paid);
    await control("PUT", "/_control/faults", { body: { timeOutAfterDoingNext: { count: 1 } } });
    await announcePayment(car);
    expect(await desk.platform.runJobs()).toBe(1);
    expect(await desk.stateOf(car)).toBe("PaymentPending");
    expect(await desk.platform.retryJobs()).toBe(0);
    expect(await desk.stateOf(car)).toBe("Registered");
    expect(await registrationsAtAuthority(car.reference)).toBe(1);
  });

  test("an authority that is down is asked again until it answers [FA12]", async () => {
    const car = await desk.sell(paid);
    await control("PUT", "/_control/faults", { body: { failNext: { count: 2, status: 503 } } });
    await announcePayment(car);
    expect(await desk.platform.runJobs()).toBe(1);
    expect(await desk.platform.retryJobs()).toBe(1);
    expect(await desk.stateOf(car)).toBe("PaymentPending");
    expect(await desk.platform.retryJobs()).toBe(0);
    expect(await desk.stateOf(car)).toBe("Registered");
  });
});
