import { dayMs } from "@caas/contract/durations.ts";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { startTestFleet, type TestCar, type TestFleet } from "../../testing/fixtures/fleet.ts";

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(async () => {
  await fleet?.close();
});
beforeEach(() => {
  fleet.fakes.vss.says = "current";
});

async function holds(car: TestCar): Promise<string[]> {
  const { entries } = await fleet.db
    .selectFrom("vehicle_links")
    .innerJoin("manifests", (join) =>
      join
        .onRef("manifests.vehicle_id", "=", "vehicle_links.vehicle_id")
        .onRef("manifests.version", "=", "vehicle_links.manifest_version"),
    )
    .select("manifests.entries")
    .where("vehicle_links.vehicle_id", "=", car.vehicleId)
    .executeTakeFirstOrThrow();
  return entries.map((entry) => (entry as { code: string }).code).sort(); // written by writeVersions
}

function activeIn(car: TestCar): string[] {
  const last = car.adapter.applied.at(-1);
  return (last?.entries ?? []).map((entry) => entry.code).sort();
}

async function stepsOf(activationId: string) {
  return fleet.db
    .selectFrom("steps")
    .select(["event", "from_state", "to_state", "automation_row", "automatic", "actor_kind", "arrow"])
    .where("activation_id", "=", activationId)
    .orderBy("id")
    .execute();
}

async function link(car: TestCar): Promise<void> {
  const { db } = fleet;
  await db.transaction().execute(async (tx) => {
    await fleet.desiredState.deliverPlan(tx, car.vehicleId);
  });
  await fleet.waitUntil("the plan applied", async () =>
    db
      .selectFrom("steps")
      .select("id")
      .where("vehicle_id", "=", car.vehicleId)
      .where("event", "=", "planApplied")
      .executeTakeFirst(),
  );
}

/** Lets business time pass until every retry of the activation has been made. */
async function retryUntil(activationId: string, state: string): Promise<void> {
  await fleet.until(`activation in ${state}`, async () => {
    const now = await fleet.stateOf(activationId);
    if (now === state) return true;
    if (now === "RetryQueue") {
      fleet.clock.advanceMs(300_000);
      await fleet.runTimers();
    }
    return undefined;
  });
}

describe("over the air, with a real broker and a real agent", () => {
  test("the first manifest holds plataformaBase and the options of the plan comercial, for the car's life [LF8]", async () => {
    const car = await fleet.addCar();
    await link(car);
    expect(await holds(car)).toEqual(["plataformaBase", "towBar"]);
    expect(activeIn(car)).toEqual(["plataformaBase", "towBar"]);
    const entitlements = await fleet.db
      .selectFrom("entitlements")
      .select(["code", "state", "valid_until"])
      .where("vehicle_id", "=", car.vehicleId)
      .execute();
    expect(entitlements.every((one) => one.state === "proved" && one.valid_until === null)).toBe(true);
  });

  test("a paid service is proved by the car, then the money is taken [SA1–SA3, SA6, SA9, SA10, SA17, LF12, DO15, SY5, SY23]", async () => {
    const car = await fleet.addCar();
    await link(car);
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "ServiceActive");
    expect(activeIn(car)).toEqual(["heatedSeats", "plataformaBase", "towBar"]);
    expect(fleet.captured()).toContain(activationId);
    expect((await stepsOf(activationId)).map((step) => [step.arrow, step.to_state, step.actor_kind])).toEqual(
      [
        ["SA1", "ServiceSelected", "customer"],
        ["SA2", "MaintenanceCheck", "system"],
        ["SA3", "PaymentInitiated", "system"],
        ["SA6", "OTAQueue", "partner"],
        ["SA9", "OTAAttempt", "system"],
        ["SA10", "ServiceActive", "vehicle"],
      ],
    );
    const [proof] = await fleet.db
      .selectFrom("attempts")
      .selectAll()
      .where("activation_id", "=", activationId)
      .execute();
    expect(proof).toMatchObject({ attempt: 1, result: "applied" });
    expect(proof?.report?.split(".")).toHaveLength(3);
    const vehicle = await fleet.db
      .selectFrom("steps")
      .select(["event", "arrow"])
      .where("vehicle_id", "=", car.vehicleId)
      .where("event", "=", "servicesChanged")
      .execute();
    expect(vehicle).toEqual([{ event: "servicesChanged", arrow: "VA15" }]);
  });

  test("the service store keeps what was selected and for how long, what was pushed, and how each attempt ended [DA12, DA15, DA16, DA19]", async () => {
    const car = await fleet.addCar();
    await link(car);
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "ServiceActive");
    const { db } = fleet;
    const selection = await db
      .selectFrom("activations")
      .select(["service_id", "duration_days", "state"])
      .where("id", "=", activationId)
      .executeTakeFirstOrThrow();
    expect(selection).toEqual({
      service_id: fleet.serviceId("heatedSeats"),
      duration_days: 30,
      state: "ServiceActive",
    });
    const pushed = await db
      .selectFrom("manifests")
      .select("entries")
      .where("activation_id", "=", activationId)
      .executeTakeFirstOrThrow();
    expect(pushed.entries).toContainEqual(
      expect.objectContaining({
        code: "heatedSeats",
        configuration: { heatedSeats: true },
        term: { kind: "duration", seconds: 30 * 86_400 },
        applyBefore: expect.any(String),
      }),
    );
    const attempts = await db
      .selectFrom("attempts")
      .select(["attempt", "result"])
      .where("activation_id", "=", activationId)
      .execute();
    expect(attempts).toEqual([{ attempt: 1, result: "applied" }]);
  });

  test("a second service joins the first; neither undoes the other", async () => {
    const car = await fleet.addCar();
    await link(car);
    const [first, second] = [await fleet.buy(car, "heatedSeats"), await fleet.buy(car, "ambientLight")];
    await fleet.waitFor(first, "ServiceActive");
    await fleet.waitFor(second, "ServiceActive");
    expect(activeIn(car)).toEqual(["ambientLight", "heatedSeats", "plataformaBase", "towBar"]);
  });

  test("the same service cannot be bought twice while it is active or on its way", async () => {
    const car = await fleet.addCar();
    await link(car);
    const activationId = await fleet.buy(car, "heatedSeats");
    await expect(fleet.buy(car, "heatedSeats")).rejects.toThrow("already active in this car, or on its way");
    await fleet.waitFor(activationId, "ServiceActive");
    await expect(fleet.buy(car, "heatedSeats")).rejects.toThrow("already active");
  });

  test("overdue maintenance denies the service, nothing is asked of the bank or the car [SA4, SA5, LF9]", async () => {
    const car = await fleet.addCar();
    await link(car);
    fleet.fakes.vss.says = "overdue";
    const activationId = await fleet.buy(car, "heatedSeats");
    expect(await fleet.stateOf(activationId)).toBe("ServiceDenied");
    expect(
      fleet.published.some(
        ({ name, event }) => name === "servicePaymentRequested" && event.activationId === activationId,
      ),
    ).toBe(false);
    expect(await holds(car)).toEqual(["plataformaBase", "towBar"]);
  });

  test("a service that does not depend on maintenance is not blocked by it [DE7]", async () => {
    const car = await fleet.addCar();
    await link(car);
    fleet.fakes.vss.says = "overdue";
    const activationId = await fleet.buy(car, "ambientLight");
    await fleet.waitFor(activationId, "ServiceActive");
  });

  test("a refused card ends the process and leaves nothing in the manifest [SA7, SA8]", async () => {
    const car = await fleet.addCar();
    await link(car);
    const activationId = await fleet.buy(car, "heatedSeats", "pm_card_chargeDeclined");
    expect(await fleet.stateOf(activationId)).toBe("PaymentFailed");
    expect(await holds(car)).toEqual(["plataformaBase", "towBar"]);
  });

  test("a car that never gets healthy is retried, then support and customer are told and nothing is charged [SA11–SA16, LF10, LF11, DO16, AU16, AU17, FA7]", async () => {
    const car = await fleet.addCar();
    await link(car);
    car.adapter.faults.unhealthy = "the seat heater does not answer";
    const activationId = await fleet.buy(car, "heatedSeats");
    await retryUntil(activationId, "NoCharge");
    const attempts = await fleet.db
      .selectFrom("attempts")
      .select(["attempt", "result", "reason"])
      .where("activation_id", "=", activationId)
      .orderBy("attempt")
      .execute();
    expect(attempts).toEqual(
      [1, 2, 3, 4, 5].map((attempt) => ({ attempt, result: "failed", reason: "probeFailed" })),
    );
    expect(fleet.voided()).toContain(activationId);
    expect(fleet.captured()).not.toContain(activationId);
    expect(fleet.tickets()).toContain("activationFailed");
    expect(
      fleet.published
        .filter(
          ({ name, event }) => name === "notificationDue" && event.subject.activationId === activationId,
        )
        .map(({ event }) => "row" in event && event.row),
    ).toEqual(["NT12", "NT11"]);
    car.adapter.faults.unhealthy = undefined;
    expect(activeIn(car)).toEqual(["plataformaBase", "towBar"]);
    expect(await holds(car)).toEqual(["plataformaBase", "towBar"]);
    expect((await stepsOf(activationId)).map(({ arrow }) => arrow).slice(-4)).toEqual([
      "SA11",
      "SA13",
      "SA14",
      "SA15",
    ]);
  });

  test("a car that rejects the configuration for good is not asked again", async () => {
    const car = await fleet.addCar();
    await link(car);
    car.adapter.faults.rejects = "no seat heater is fitted";
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "NoCharge");
    const attempts = await fleet.db
      .selectFrom("attempts")
      .select("failure_class")
      .where("activation_id", "=", activationId)
      .execute();
    expect(attempts).toEqual([{ failure_class: "permanent" }]);
  });

  test("a car that fails once and then works ends active, after a retry [LF10, SA12]", async () => {
    const car = await fleet.addCar();
    await link(car);
    car.adapter.faults.unhealthy = "not yet";
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "RetryQueue");
    expect(await holds(car), "during backoff the entry is in no manifest").toEqual([
      "plataformaBase",
      "towBar",
    ]);
    car.adapter.faults.unhealthy = undefined;
    await retryUntil(activationId, "ServiceActive");
    expect(activeIn(car)).toEqual(["heatedSeats", "plataformaBase", "towBar"]);
  });

  test("a car that is offline waits in OTAQueue without an attempt, and gets its service when it comes back", async () => {
    const car = await fleet.addCar();
    await link(car);
    await car.park();
    await vi.waitFor(
      async () => {
        const { presence } = await fleet.db
          .selectFrom("vehicle_links")
          .select("presence")
          .where("vehicle_id", "=", car.vehicleId)
          .executeTakeFirstOrThrow();
        expect(presence).toBe("offline");
      },
      { timeout: 10_000 },
    );
    const activationId = await fleet.buy(car, "heatedSeats");
    expect(await fleet.stateOf(activationId)).toBe("OTAQueue");
    await car.drive();
    await fleet.waitFor(activationId, "ServiceActive");
  });

  test("a hold that runs out while the car is away voids it, counts no attempt, and a car that comes back stays without", async () => {
    const car = await fleet.addCar({ online: false });
    const activationId = await fleet.buy(car, "heatedSeats");
    expect(await fleet.stateOf(activationId)).toBe("OTAQueue");
    fleet.clock.advanceMs(7 * dayMs);
    await fleet.runTimers();
    await fleet.runJobs();
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
    expect(fleet.voided()).toContain(activationId);
    expect((await stepsOf(activationId)).map(({ event }) => event)).toContain("holdExpired");
    const attempts = await fleet.db
      .selectFrom("attempts")
      .selectAll()
      .where("activation_id", "=", activationId)
      .execute();
    expect(attempts).toEqual([]);
  });

  test("a term that ends takes the service out of the car, which stays Operational [VA15]", async () => {
    const car = await fleet.addCar();
    await link(car);
    const activationId = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(activationId, "ServiceActive");
    const { entitlement_id: entitlementId } = await fleet.db
      .selectFrom("activations")
      .select("entitlement_id")
      .where("id", "=", activationId)
      .executeTakeFirstOrThrow();
    if (entitlementId === null) throw new Error("no entitlement");
    const vehicleState = async () =>
      (
        await fleet.db
          .selectFrom("vehicles")
          .where("id", "=", car.vehicleId)
          .select("state")
          .executeTakeFirstOrThrow()
      ).state;
    expect([activeIn(car).includes("heatedSeats"), await vehicleState()]).toEqual([true, "Operational"]);
    fleet.clock.advanceMs(31 * dayMs);
    await fleet.runTimers();
    expect(await holds(car)).toEqual(["plataformaBase", "towBar"]);
    await fleet.until("the car without the service", async () =>
      activeIn(car).includes("heatedSeats") ? undefined : true,
    );
    expect(await vehicleState()).toBe("Operational");
  });
});
