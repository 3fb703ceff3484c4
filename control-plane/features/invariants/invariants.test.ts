import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestFleet, type TestFleet } from "../../testing/fixtures/fleet.ts";
import { explain } from "../activations/explain.ts";
import { findOffenders, graceMs } from "./find-offenders.ts";

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(async () => {
  await fleet?.close();
});

/** What the gateway said contradicts what was done: no way of the platform leads there. */
async function settleAs(activationId: string, status: "captured" | "declined"): Promise<void> {
  await fleet.db
    .updateTable("payments")
    .set({ status, settled_at: fleet.clock.now() })
    .where("activation_id", "=", activationId)
    .executeTakeFirstOrThrow();
}

function offendersOf(activationId: string) {
  const now = fleet.clock.now();
  return findOffenders(fleet.db, now).then((all) =>
    all.filter((one) => one.activationId === activationId).map(({ invariant }) => invariant),
  );
}

describe("the two invariants", () => {
  test("a captured, proved service breaks none, and says so when it is asked why it was charged", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "ServiceActive");
    expect(await fleet.runJobs()).toBe(0);
    fleet.clock.advanceMs(graceMs + 1);
    expect(await offendersOf(activationId)).toEqual([]);
    const explanation = await explain(fleet.db, activationId);
    expect(explanation).toMatchObject({ charged: true, active: true });
    expect(explanation?.verdict).toContain("only then the price was charged");
    const proof = explanation?.timeLine.find(({ what }) => what === "attempt 1 applied");
    expect(String(proof?.detail.signedReport).split(".")).toHaveLength(3);
  });

  test("money without service: captured although the car never proved it, from the first moment", async () => {
    const car = await fleet.addCar();
    car.adapter.faults.rejects = "no seat heater";
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "NoCharge");
    expect(await offendersOf(activationId)).toEqual([]);
    await settleAs(activationId, "captured");
    expect(await offendersOf(activationId)).toEqual(["moneyWithoutService"]);
  });

  test("service without money: proved in an online car and still not captured, once the grace is over", async () => {
    const car = await fleet.addCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "ServiceActive");
    await settleAs(activationId, "declined");
    expect(await offendersOf(activationId)).toEqual([]);
    fleet.clock.advanceMs(graceMs);
    expect(await offendersOf(activationId)).toEqual(["serviceWithoutMoney"]);
  });

  test("what was not charged is explained too", async () => {
    const car = await fleet.addCar();
    fleet.fakes.vss.says = "overdue";
    const denied = await fleet.buy(car, "heatedSeats");
    fleet.fakes.vss.says = "current";
    fleet.fakes.gateway.says = "decline";
    const refused = await fleet.buy(car, "heatedSeats");
    fleet.fakes.gateway.says = "authorise";
    const verdicts = await Promise.all([denied, refused].map((id) => explain(fleet.db, id)));
    expect(verdicts.map((one) => one?.verdict)).toEqual([
      "heatedSeats is not active: its maintenance is overdue; it can be bought again after a visit to a workshop. Nothing was charged.",
      "heatedSeats is not active: the bank refused the payment. Nothing was charged.",
    ]);
  });
});
