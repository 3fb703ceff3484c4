import { afterAll, beforeAll, expect, test } from "vitest";
import { revoke } from "../features/identities/revoke.ts";
import { system } from "../lifecycle/actor.ts";
import { startTestFleet, type TestFleet } from "../testing/fixtures/fleet.ts";
import { rotateKeys } from "./rotate-keys.ts";
import { readTrustFigures } from "./trust-figures.ts";

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(() => fleet?.close());

test("the signing key and the revocation list are reported with version and age", async () => {
  const { db, clock, context } = fleet;
  const read = () => readTrustFigures(db, fleet.keyRing, clock);
  const before = await read();
  expect(before).toMatchObject({ keySetVersion: 1, revocationListAgeSeconds: 0 });

  const car = await fleet.addCar({ online: false });
  clock.advanceMs(60_000);
  await rotateKeys(fleet.keysFolder, clock);
  await fleet.keyRing.refresh();
  await db.transaction().execute((tx) =>
    revoke(context, tx, {
      vehicleId: car.vehicleId,
      serialNumber: null,
      reason: "stolen",
      actor: system,
    }),
  );
  clock.advanceMs(30_000);
  expect(await read()).toEqual({
    keySetVersion: 2,
    keySetAgeSeconds: 30,
    revocationListVersion: before.revocationListVersion + 1,
    revocationListAgeSeconds: 30,
  });
});
