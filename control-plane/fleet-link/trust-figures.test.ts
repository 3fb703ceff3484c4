import { afterAll, beforeAll, expect, test } from "vitest";
import { revoke } from "../features/identities/revoke.ts";
import { system } from "../lifecycle/actor.ts";
import { type CarPark, createCarPark } from "../testing/car-park.ts";
import { rotateKeys } from "./rotate-keys.ts";
import { readTrustFigures } from "./trust-figures.ts";

let park: CarPark;
beforeAll(async () => {
  park = await createCarPark();
});
afterAll(() => park?.close());

test("the signing key and the revocation list are reported with version and age", async () => {
  const { db, clock, context } = park.platform;
  const read = () => readTrustFigures(db, park.keyRing, clock);
  const before = await read();
  expect(before).toMatchObject({ keySetVersion: 1, revocationListAgeSeconds: 0 });

  const car = await park.addCar({ online: false });
  clock.advanceMs(60_000);
  await rotateKeys(park.keysFolder, clock);
  await park.keyRing.refresh();
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
