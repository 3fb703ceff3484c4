import { dayMs } from "@caas/contract/durations.ts";
import { verifyingKeyFrom } from "@caas/contract/jws.ts";
import { revocationMessageSchema, verifyRevocationList } from "@caas/contract/revocation-list.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestFleet, type TestCar, type TestFleet } from "../testing/fixtures/fleet.ts";
import { type Staff, seedStaff } from "../testing/fixtures/people.ts";
import { signRevocations } from "./revocations.ts";

let fleet: TestFleet;
let staff: Staff;
beforeAll(async () => {
  fleet = await startTestFleet();
  staff = await seedStaff(fleet);
});
afterAll(() => fleet?.close());

/** What the broker is told of a car. */
async function listedOf(car: TestCar): Promise<(string | null)[]> {
  const { keys } = fleet.keyRing.keySet;
  const messages = await signRevocations(fleet.context, fleet.keyRing);
  return messages.flatMap((message) => {
    const { list } = revocationMessageSchema.parse(JSON.parse(message));
    const verified = verifyRevocationList(list, (kid) => {
      const key = keys.find((one) => one.kid === kid);
      return key && verifyingKeyFrom(key.x);
    });
    if (verified.kind === "refused") throw new Error(verified.reason);
    return verified.list.revoked.flatMap(({ vin, serialNumber }) => (vin === car.vin ? [serialNumber] : []));
  });
}

async function serialOf(car: TestCar): Promise<string> {
  const { serial_number: serialNumber } = await fleet.db
    .selectFrom("certificates")
    .select("serial_number")
    .where("vehicle_id", "=", car.vehicleId)
    .executeTakeFirstOrThrow();
  return serialNumber;
}

describe("the signed list of revocations", () => {
  test("names a single certificate by its number until it expires, and a car without one for good", async () => {
    const [car, stolen] = [await fleet.addCar({ online: false }), await fleet.addCar({ online: false })];
    const serialNumber = await serialOf(car);
    const url = ({ vehicleId }: TestCar) => `/api/vehicles/${vehicleId}/revocation`;
    await staff.admin.post(url(car), { reason: "key copied in a workshop", serialNumber });
    await staff.admin.post(url(stolen), { reason: "reported stolen" });
    expect([await listedOf(car), await listedOf(stolen)]).toEqual([[serialNumber], [null]]);
    fleet.clock.advanceMs(91 * dayMs);
    expect([await listedOf(car), await listedOf(stolen)]).toEqual([[], [null]]);
  });
});
