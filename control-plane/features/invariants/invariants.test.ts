import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../../store/ids.ts";
import { type CarPark, createCarPark, type TestCar } from "../../testing/car-park.ts";
import { explain } from "../activations/explain.ts";
import { findOffenders, graceMs } from "./find-offenders.ts";

let park: CarPark;

beforeAll(async () => {
  park = await createCarPark();
});
afterAll(async () => {
  await park?.close();
});

/** The payment that the bank of this test never writes down. */
async function pay(
  activationId: string,
  car: TestCar,
  status: "authorised" | "captured" | "declined",
): Promise<void> {
  const at = park.platform.clock.now();
  await park.platform.db
    .insertInto("payments")
    .values({
      id: newId(),
      kind: "service",
      activation_id: activationId,
      customer_id: car.customerId,
      amount_cents: 1_900,
      currency: "EUR",
      method: "card",
      status,
      created_at: at,
      settled_at: status === "authorised" ? null : at,
    })
    .execute();
}

function offendersOf(activationId: string) {
  const now = park.platform.clock.now();
  return findOffenders(park.platform.db, now).then((all) =>
    all.filter((one) => one.activationId === activationId).map(({ invariant }) => invariant),
  );
}

describe("the two invariants", () => {
  test("a captured, proved service breaks none, and says so when it is asked why it was charged", async () => {
    const car = await park.addCar();
    const activationId = await park.buy(car, "heatedSeats");
    await park.waitFor(activationId, "ServiceActive");
    await pay(activationId, car, "captured");
    park.platform.clock.advanceMs(graceMs + 1);
    expect(await offendersOf(activationId)).toEqual([]);
    const explanation = await explain(park.platform.db, activationId);
    expect(explanation).toMatchObject({ charged: true, active: true });
    expect(explanation?.verdict).toContain("only then the price was charged");
    const proof = explanation?.timeLine.find(({ what }) => what === "attempt 1 applied");
    expect(String(proof?.detail.signedReport).split(".")).toHaveLength(3);
  });

  test("money without service: captured although the car never proved it, from the first moment", async () => {
    const car = await park.addCar();
    car.adapter.faults.rejects = "no seat heater";
    const activationId = await park.buy(car, "heatedSeats");
    await park.waitFor(activationId, "NoCharge");
    expect(await offendersOf(activationId)).toEqual([]);
    await pay(activationId, car, "captured");
    expect(await offendersOf(activationId)).toEqual(["moneyWithoutService"]);
  });

  test("service without money: proved in an online car and still not captured, once the grace is over", async () => {
    const car = await park.addCar();
    const activationId = await park.buy(car, "heatedSeats");
    await park.waitFor(activationId, "ServiceActive");
    await pay(activationId, car, "declined");
    expect(await offendersOf(activationId)).toEqual([]);
    park.platform.clock.advanceMs(graceMs);
    expect(await offendersOf(activationId)).toEqual(["serviceWithoutMoney"]);
  });

  test("what was not charged is explained too", async () => {
    const car = await park.addCar();
    park.world.maintenance = "overdue";
    const denied = await park.buy(car, "heatedSeats");
    park.world.maintenance = "current";
    park.world.bank = "decline";
    const refused = await park.buy(car, "heatedSeats");
    park.world.bank = "authorise";
    const verdicts = await Promise.all([denied, refused].map((id) => explain(park.platform.db, id)));
    expect(verdicts.map((one) => one?.verdict)).toEqual([
      "heatedSeats is not active: the workshops did not confirm that maintenance is current. Nothing was charged.",
      "heatedSeats is not active: the bank refused the payment. Nothing was charged.",
    ]);
  });
});
