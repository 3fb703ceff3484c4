import { minuteMs } from "@caas/contract/durations.ts";
import { readSlotFiles } from "@caas/vehicle-agent/change/slots.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestFleet, type TestCar, type TestFleet } from "../testing/fixtures/fleet.ts";

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(() => fleet?.close());

async function readActive({ storage }: TestCar) {
  const slot = await storage.slots.active();
  if (slot === null) throw new Error("the car holds nothing");
  return { slot, files: await storage.slots.read(slot) };
}

async function versionOf(car: TestCar): Promise<number> {
  const row = await fleet.db
    .selectFrom("vehicle_links")
    .where("vehicle_id", "=", car.vehicleId)
    .select("manifest_version")
    .executeTakeFirstOrThrow();
  return row.manifest_version;
}

describe("a car whose active slot was damaged while it was off", () => {
  test.each([
    [
      "an entry of 0 bytes",
      (files: ReadonlyMap<string, string>) =>
        new Map([...files].map(([name, text]) => [name, name.startsWith("heatedSeats") ? "" : text])),
    ],
    ["nothing in it", () => new Map<string, string>()],
  ])(
    "%s: a version above brings the paid service back, and nobody is called or charged again [F2]",
    async (_what, damage) => {
      const car = await fleet.addCar();
      const activationId = await fleet.buy(car, "heatedSeats");
      await fleet.waitFor(activationId, "ServiceActive");
      const before = await versionOf(car);
      const captured = fleet.captured().length;
      await car.park();
      const { slot, files } = await readActive(car);
      await car.storage.slots.stage(slot, damage(files));
      await car.drive();
      await fleet.waitUntil("the car holds it again", async () => {
        const reading = readSlotFiles((await readActive(car)).files);
        const version = await versionOf(car);
        return reading.kind === "intact" && reading.content.version === version && version > before
          ? true
          : undefined;
      });
      const reading = readSlotFiles((await readActive(car)).files);
      expect(reading).toMatchObject({
        content: { entries: [expect.objectContaining({ code: "heatedSeats" })] },
      });
      expect(await fleet.stateOf(activationId)).toBe("ServiceActive");
      expect([fleet.captured().length, fleet.tickets()]).toEqual([captured, []]);
    },
  );

  test("damaged after it had refused its newest version: a version above brings the paid service back [F2]", async () => {
    const car = await fleet.addCar();
    const paid = await fleet.buy(car, "heatedSeats");
    await fleet.waitFor(paid, "ServiceActive");
    car.adapter.faults.rejects = "not now";
    const refused = await fleet.buy(car, "ambientLight");
    await fleet.waitFor(refused, "NoCharge");
    // The version without it is refused, too.
    await fleet.waitUntil("the newest version is refused", async () => {
      const outcome = JSON.parse((await car.storage.read("journal.json")) ?? "{}").outcome;
      return outcome?.result === "failed" && outcome.version === (await versionOf(car)) ? true : undefined;
    });
    const before = await versionOf(car);
    await car.park();
    const { slot } = await readActive(car);
    await car.storage.slots.stage(slot, new Map());
    car.adapter.faults.rejects = undefined;
    fleet.clock.advanceMs(2 * minuteMs);
    await car.drive();
    await fleet.waitUntil("the car holds it again", async () => {
      const reading = readSlotFiles((await readActive(car)).files);
      const codes = reading.kind === "intact" ? reading.content.entries.map(({ code }) => code) : [];
      return codes.includes("heatedSeats") && (await versionOf(car)) > before ? true : undefined;
    });
    expect(await fleet.stateOf(paid)).toBe("ServiceActive");
  });
});
