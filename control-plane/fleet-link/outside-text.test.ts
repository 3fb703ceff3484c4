import { generateKeyPairSync } from "node:crypto";
import { exportPublicKey, type SigningKey, signJwsText, thumbprintOf } from "@caas/contract/jws.ts";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import { type Report, signReport } from "@caas/contract/report.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestFleet, type TestCar, type TestFleet } from "../testing/fixtures/fleet.ts";
import { createIngester, type Ingester } from "./ingester.ts";

// What a car writes into a message is stored, whatever it is.

let fleet: TestFleet;
let ingester: Ingester;
const refused: string[] = [];
const half = "🚗".charAt(0);

beforeAll(async () => {
  fleet = await startTestFleet();
  const { desiredState } = fleet;
  ingester = createIngester({
    db: fleet.db,
    async handle(tx, messages) {
      const reports = messages.flatMap((message) => (message.kind === "report" ? [message] : []));
      const presences = messages.flatMap((message) => (message.kind === "presence" ? [message] : []));
      if (reports.length > 0) await desiredState.ingest(tx, reports);
      if (presences.length > 0) await desiredState.recordPresences(tx, presences);
    },
    onRefused: (reason) => refused.push(reason),
    logger: pino({ level: "silent" }),
  });
});
afterAll(() => fleet?.close());

/** A car whose agent is this test. */
async function strangeCar(): Promise<{ car: TestCar; key: SigningKey }> {
  const car = await fleet.addCar({ online: false });
  const { privateKey } = generateKeyPairSync("ed25519");
  const publicKey = exportPublicKey(privateKey);
  await fleet.db
    .updateTable("vehicle_links")
    .set({ proof_public_key: publicKey })
    .where("vehicle_id", "=", car.vehicleId)
    .execute();
  return { car, key: { kid: thumbprintOf(publicKey), privateKey } };
}

const tell = (car: TestCar, kind: "report" | "presence" | "display-ack", payload: string) =>
  new Promise<void>((resolve) =>
    ingester.take({
      topic: topicOf(parseVin(car.vin), kind),
      payload: Buffer.from(payload),
      acknowledge: resolve,
    }),
  );

async function newestOf(car: TestCar): Promise<{ version: number; hash: string }> {
  const { version, hash } = await fleet.db
    .selectFrom("manifests")
    .select(["version", "hash"])
    .where("vehicle_id", "=", car.vehicleId)
    .orderBy("version", "desc")
    .executeTakeFirstOrThrow();
  return { version, hash };
}

function reportOf(car: TestCar, seq: number, more: Pick<Report, "active" | "outcome" | "refused">): Report {
  const sentAt = new Date().toISOString();
  return { vin: parseVin(car.vin), seq, deferred: null, keySetVersion: 1, sentAt, ...more };
}

test("a failure told with a NUL and half of an emoji is taken: the attempt ends and the purchase goes on [F6]", async () => {
  const { car, key } = await strangeCar();
  await tell(car, "presence", JSON.stringify({ state: "online", connection: 1 }));
  await fleet.db.transaction().execute((tx) => fleet.desiredState.deliverPlan(tx, car.vehicleId));
  const plan = await newestOf(car);
  const at = new Date().toISOString();
  const applied = { result: "applied", ...plan, appliedAt: at, timings: { verifiedMs: 1 } } as const;
  await tell(
    car,
    "report",
    signReport(reportOf(car, 1, { active: plan, outcome: applied, refused: {} }), key),
  );
  const activationId = await fleet.buy(car, "heatedSeats");
  expect(await fleet.stateOf(activationId)).toBe("OTAAttempt");

  const outcome = {
    result: "failed",
    ...(await newestOf(car)),
    reason: "probeFailed",
    failureClass: "transient",
    detail: `the probe said \u0000 and ${half}`,
    rolledBack: true,
    timings: { verifiedMs: 1 },
  } as const;
  const odd = reportOf(car, 2, { active: plan, outcome, refused: { "unknown\u0000Key": 1 } });
  await tell(car, "report", signReport(odd, key));
  expect(await fleet.stateOf(activationId)).toBe("RetryQueue");
});

test("a signed null, list or text of a car is refused and nothing else happens [R8]", async () => {
  const { car, key } = await strangeCar();
  refused.length = 0;
  for (const [kind, typ] of [
    ["report", "caas-report+jws"],
    ["display-ack", "caas-display-ack+jws"],
  ] as const)
    for (const payload of ["null", "[]", '"x"', "7", "{}"])
      await tell(car, kind, signJwsText(typ, payload, key));
  await tell(car, "presence", "null");
  expect(refused).toHaveLength(11);
});

test("what was said reaches the person who must look at it, as far as it can be read [F6]", async () => {
  const { car, key } = await strangeCar();
  await fleet.db.transaction().execute((tx) => fleet.desiredState.deliverPlan(tx, car.vehicleId));
  const outcome = {
    result: "failed",
    ...(await newestOf(car)),
    reason: "probeFailed",
    failureClass: "permanent",
    detail: `the probe said \u0000 and ${half}`,
    rolledBack: true,
    timings: { verifiedMs: 1 },
  } as const;
  const active = { version: 0, hash: emptyManifestHash };
  await tell(car, "report", signReport(reportOf(car, 1, { active, outcome, refused: {} }), key));
  expect(await saidIn(car)).toBe("the probe said \uFFFD and \uFFFD");
});

test("a real car's probe that prints a NUL, and an emoji at the limit, is told in whole characters [F6]", async () => {
  const car = await fleet.addCar();
  car.adapter.faults.unhealthy = `\u0000${"x".repeat(498)}🚗 and more`;
  await fleet.db.transaction().execute((tx) => fleet.desiredState.deliverPlan(tx, car.vehicleId));
  const said = await fleet.waitUntil("the failure is told", () => saidIn(car));
  expect(said).toBe(`\uFFFD${"x".repeat(498)}`);
});

async function saidIn({ vehicleId }: TestCar): Promise<string | undefined> {
  const { rows } = await sql<{ said: string }>`
    select detail->>'said' as said from tasks where vehicle_id = ${vehicleId} and detail ? 'said'`.execute(
    fleet.db,
  );
  return rows[0]?.said;
}
