import { minuteMs } from "@caas/contract/durations.ts";
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

  async function activeService() {
    const car = await fleet.addCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "ServiceActive");
    await fleet.runJobs();
    return { car, activationId };
  }

  test("the grace is a quarter of an hour: not a moment less, and not the days that a mistake would make of it", async () => {
    const { activationId } = await activeService();
    await settleAs(activationId, "declined");
    fleet.clock.advanceMs(15 * minuteMs - 1);
    expect(await offendersOf(activationId)).toEqual([]);
    fleet.clock.advanceMs(1);
    expect(await offendersOf(activationId)).toEqual(["serviceWithoutMoney"]);
  });

  test("a service that was taken back with its money has the grace from then on, however long it was active", async () => {
    const { activationId } = await activeService();
    fleet.clock.advanceMs(graceMs + 1);
    await settleAs(activationId, "declined");
    const withdraw = fleet.db
      .updateTable("entitlements")
      .set({ state: "ending", withdrawn_at: fleet.clock.now() })
      .where("id", "=", (eb) =>
        eb.selectFrom("activations").select("entitlement_id").where("id", "=", activationId),
      );
    await withdraw.execute();
    fleet.clock.advanceMs(graceMs - 1);
    expect(await offendersOf(activationId)).toEqual([]);
    fleet.clock.advanceMs(1);
    expect(await offendersOf(activationId)).toEqual(["serviceWithoutMoney"]);
  });

  test("money that was given back wrongs nobody, money that was given back in part still does", async () => {
    const car = await fleet.addCar();
    car.adapter.faults.rejects = "no seat heater";
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "NoCharge");
    await settleAs(activationId, "captured");
    const giveBack = (cents: number) =>
      fleet.db
        .updateTable("payments")
        .set({ refunded_cents: cents })
        .where("activation_id", "=", activationId)
        .execute();
    await giveBack(1_899);
    expect(await offendersOf(activationId)).toEqual(["moneyWithoutService"]);
    await giveBack(1_900);
    expect(await offendersOf(activationId)).toEqual([]);
  });

  test("a car that is offline cannot let go of a service: it is no offender until it is back", async () => {
    const { car, activationId } = await activeService();
    await settleAs(activationId, "declined");
    fleet.clock.advanceMs(graceMs + 1);
    expect(await offendersOf(activationId)).toEqual(["serviceWithoutMoney"]);
    await car.park();
    await fleet.until("it is known to be offline", async () => {
      const link = fleet.db
        .selectFrom("vehicle_links")
        .select("presence")
        .where("vehicle_id", "=", car.vehicleId);
      return (await link.executeTakeFirst())?.presence === "offline" ? true : undefined;
    });
    expect(await offendersOf(activationId)).toEqual([]);
  });

  test("money for a term that had ended when it was taken is an offender; for one that ends later it is none [R1]", async () => {
    const { activationId } = await activeService();
    const payment = fleet.db
      .selectFrom("payments")
      .where("activation_id", "=", activationId)
      .select("settled_at");
    const { settled_at: settledAt } = await payment.executeTakeFirstOrThrow();
    if (settledAt === null) throw new Error("the price was not taken");
    const endAt = (ms: number) =>
      fleet.db
        .updateTable("entitlements")
        .set({ valid_until: new Date(settledAt.getTime() + ms) })
        .where("id", "=", (eb) =>
          eb.selectFrom("activations").select("entitlement_id").where("id", "=", activationId),
        )
        .execute();
    await endAt(1);
    expect(await offendersOf(activationId)).toEqual([]);
    await endAt(0);
    expect(await offendersOf(activationId)).toEqual(["moneyWithoutService"]);
  });

  test("what was not charged is explained too", async () => {
    const car = await fleet.addCar();
    fleet.fakes.vss.says = "overdue";
    const denied = await fleet.buy(car, "heatedSeats");
    fleet.fakes.vss.says = "current";
    const refused = await fleet.buy(car, "heatedSeats", "pm_card_chargeDeclined");
    const verdicts = await Promise.all([denied, refused].map((id) => explain(fleet.db, id)));
    expect(verdicts.map((one) => one?.verdict)).toEqual([
      "heatedSeats is not active: its maintenance is overdue; it can be bought again after a visit to a workshop. Nothing was charged.",
      "heatedSeats is not active: the bank refused the payment. Nothing was charged.",
    ]);
  });
});
