import { verifyingKeyFrom } from "@caas/contract/jws.ts";
import { verifyReport } from "@caas/contract/report.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestFleet, type TestFleet } from "../../testing/fixtures/fleet.ts";
import { readPlanProof } from "./plan-proofs.ts";

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(() => fleet?.close());

test("the proof of a roll-out's step is read back as the car signed it, and verifies against the car's key", async () => {
  const car = await fleet.addCar();
  const { db } = fleet;
  await db
    .transaction()
    .execute((tx) =>
      fleet.desiredState.rollOut(tx, [car.vehicleId], { code: "firmware", configuration: { level: 1 } }),
    );
  const token = await fleet.waitUntil(
    "the proof",
    async () => (await readPlanProof(db, car.vehicleId, 1)) ?? undefined,
  );
  const { proof_public_key: proofKey, manifest_hash: hash } = await db
    .selectFrom("vehicle_links")
    .select(["proof_public_key", "manifest_hash"])
    .where("vehicle_id", "=", car.vehicleId)
    .executeTakeFirstOrThrow();
  const vin = parseVin(car.vin);
  expect(verifyReport(token, { vin, key: verifyingKeyFrom(proofKey ?? "") })).toMatchObject({
    kind: "accepted",
    report: { vin, outcome: { result: "applied", version: 1, hash } },
  });
  expect(await readPlanProof(db, car.vehicleId, 2)).toBeNull();
  const { rows } = await sql<{
    bytes: number;
  }>`select octet_length(report) as bytes from plan_proofs`.execute(db);
  expect(rows[0]?.bytes).toBeLessThan(token.length / 4);
});

test("a proof that was kept as text, before reports were packed, is read back as it was", async () => {
  const car = await fleet.addCar({ online: false });
  const { db } = fleet;
  // As migration 0009 converts it.
  await sql`
    insert into plan_proofs (vehicle_id, version, report)
    values (${car.vehicleId}, 7, '\\x00'::bytea || convert_to('a.former.token', 'UTF8'))`.execute(db);
  expect(await readPlanProof(db, car.vehicleId, 7)).toBe("a.former.token");
});
