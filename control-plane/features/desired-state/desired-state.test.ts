import { dayMs, minuteMs } from "@caas/contract/durations.ts";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import type { Outcome, Report } from "@caas/contract/report.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { startTestFleet, type TestCar, type TestFleet } from "../../testing/fixtures/fleet.ts";
import { seedStaff } from "../../testing/fixtures/people.ts";
import { resendAfterMs, sendingsOfAttempt } from "./dispatches.ts";

// The engine against a real database, with reports written by hand: what no healthy car would say must be
// judged too. The cars stay offline; the test says what they say.

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(async () => {
  await fleet?.close();
});

type Car = TestCar & { seq: number; connection: number };

async function linkRow(car: TestCar) {
  return fleet.db
    .selectFrom("vehicle_links")
    .selectAll()
    .where("vehicle_id", "=", car.vehicleId)
    .executeTakeFirstOrThrow();
}

async function report(
  car: Car,
  said: {
    active?: Report["active"];
    outcome?: Outcome | null;
    seq?: number;
    keySetVersion?: number;
    sentAt?: string;
  },
) {
  const row = await linkRow(car);
  const seq = said.seq ?? ++car.seq;
  const body: Report = {
    vin: parseVin(car.vin),
    seq,
    active: said.active ?? { version: row.active_version, hash: row.active_hash },
    outcome: said.outcome ?? null,
    deferred: null,
    refused: {},
    keySetVersion: said.keySetVersion ?? 1,
    sentAt: said.sentAt ?? fleet.clock.now().toISOString(),
  };
  return fleet.db
    .transaction()
    .execute((tx) =>
      fleet.desiredState.ingest(tx, [
        { vin: body.vin, report: body, token: `signed.${seq}.x`, proofKey: car.proofKey },
      ]),
    )
    .then(([ingested]) => {
      if (ingested === undefined) throw new Error("a report without an answer");
      return ingested;
    });
}

function applied(version: number, hash: string): Outcome {
  return {
    result: "applied",
    version,
    hash,
    appliedAt: fleet.clock.now().toISOString(),
    timings: { verifiedMs: 1 },
  };
}

function failed(
  version: number,
  hash: string,
  failureClass: "transient" | "permanent" = "transient",
): Outcome {
  return {
    result: "failed",
    version,
    hash,
    reason: "probeFailed",
    failureClass,
    detail: "said by the test",
    rolledBack: true,
    timings: { verifiedMs: 1 },
  };
}

async function presence(car: Car, state: "online" | "offline", connection = ++car.connection): Promise<void> {
  await fleet.db
    .transaction()
    .execute((tx) =>
      fleet.desiredState.recordPresences(tx, [{ vin: parseVin(car.vin), presence: { state, connection } }]),
    );
}

/** Says that it applied what its newest manifest holds. */
async function obey(car: Car) {
  const row = await linkRow(car);
  return report(car, {
    active: { version: row.manifest_version, hash: row.manifest_hash },
    outcome: applied(row.manifest_version, row.manifest_hash),
  });
}

async function enrolledCar(): Promise<Car> {
  const car: Car = Object.assign(await fleet.addCar({ online: false }), { seq: 0, connection: 0 });
  await presence(car, "online");
  return car;
}

async function entriesOf(car: TestCar) {
  const row = await linkRow(car);
  const { entries } = await fleet.db
    .selectFrom("manifests")
    .select("entries")
    .where("vehicle_id", "=", car.vehicleId)
    .where("version", "=", row.manifest_version)
    .executeTakeFirstOrThrow();
  return entries as { code: string; term: unknown }[]; // written by writeVersions
}

async function codesOf(car: TestCar): Promise<string[]> {
  return (await entriesOf(car)).map(({ code }) => code).sort();
}

function dispatchOf(car: TestCar) {
  return fleet.db
    .selectFrom("manifest_dispatches")
    .selectAll()
    .where("vehicle_id", "=", car.vehicleId)
    .executeTakeFirst();
}

async function isDue(car: TestCar): Promise<boolean> {
  return (await dispatchOf(car)) !== undefined;
}

describe("versions and reports", () => {
  test("at most one unproved change: a second purchase waits in OTAQueue for the first one's proof", async () => {
    const car = await enrolledCar();
    const first = await fleet.buy(car, "heatedSeats");
    const second = await fleet.buy(car, "ambientLight");
    expect([await fleet.stateOf(first), await fleet.stateOf(second)]).toEqual(["OTAAttempt", "OTAQueue"]);
    expect(await codesOf(car)).toEqual(["heatedSeats"]);
    await obey(car);
    expect([await fleet.stateOf(first), await fleet.stateOf(second)]).toEqual([
      "ServiceActive",
      "OTAAttempt",
    ]);
    expect(await codesOf(car)).toEqual(["ambientLight", "heatedSeats"]);
    await obey(car);
    expect(await fleet.stateOf(second)).toBe("ServiceActive");
    expect((await linkRow(car)).manifest_version).toBe(2);
  });

  test("a repeated or older report has no effect [fault 4, fault 8]", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const { manifest_version: version, manifest_hash: hash } = await linkRow(car);
    expect(await report(car, { outcome: failed(version, hash) })).toMatchObject({
      kind: "taken",
      failed: "probeFailed",
    });
    const steps = () =>
      fleet.db.selectFrom("steps").select("id").where("activation_id", "=", activationId).execute();
    const before = await steps();
    const again = { seq: 1, sentAt: new Date(0).toISOString() };
    expect(await report(car, { outcome: failed(version, hash), ...again })).toEqual({ kind: "repeated" });
    expect(await report(car, { outcome: applied(version, hash), ...again })).toEqual({ kind: "repeated" });
    expect(await steps()).toEqual(before);
    expect(await fleet.stateOf(activationId)).toBe("RetryQueue");
  });

  test("a failure counts once: the same outcome in a newer report changes nothing", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const { manifest_version: version, manifest_hash: hash } = await linkRow(car);
    await report(car, { outcome: failed(version, hash) });
    expect(await report(car, { outcome: failed(version, hash) })).toMatchObject({
      kind: "taken",
      failed: null,
    });
    const attempts = await fleet.db
      .selectFrom("attempts")
      .select(["attempt", "result"])
      .where("activation_id", "=", activationId)
      .execute();
    expect(attempts).toEqual([{ attempt: 1, result: "failed" }]);
  });

  test("an 'applied' whose hash is not the manifest's proves nothing", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const { manifest_version: version } = await linkRow(car);
    expect(await report(car, { outcome: applied(version, emptyManifestHash) })).toMatchObject({
      proved: false,
    });
    expect(await fleet.stateOf(activationId)).toBe("OTAAttempt");
    expect(fleet.captured()).not.toContain(activationId);
  });

  test("the proof that comes after the hold ran out charges nobody, and the car is told to take it out [fault 26]", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const late = await linkRow(car);
    fleet.clock.advanceMs(7 * dayMs);
    await fleet.runTimers();
    await fleet.runJobs();
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
    const ingested = await report(car, {
      active: { version: late.manifest_version, hash: late.manifest_hash },
      outcome: applied(late.manifest_version, late.manifest_hash),
    });
    expect(ingested).toMatchObject({ proved: false, converged: false });
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
    expect(fleet.captured()).not.toContain(activationId);
    expect(fleet.voided().filter((id) => id === activationId)).toHaveLength(1);
    expect(await codesOf(car)).toEqual([]);
    expect(await isDue(car)).toBe(true);
  });

  test("a car that is ahead of us gets a version above its own", async () => {
    const car = await enrolledCar();
    await report(car, { active: { version: 41, hash: emptyManifestHash } });
    expect((await linkRow(car)).manifest_version).toBe(42);
  });

  test("a removal never waits: it is in the next version, and the change under way goes on in it", async () => {
    const car = await enrolledCar();
    const first = await fleet.buy(car, "heatedSeats");
    await obey(car);
    const second = await fleet.buy(car, "ambientLight");
    expect(await codesOf(car)).toEqual(["ambientLight", "heatedSeats"]);
    const { entitlement_id: entitlementId } = await fleet.db
      .selectFrom("activations")
      .select("entitlement_id")
      .where("id", "=", first)
      .executeTakeFirstOrThrow();
    await fleet.db.transaction().execute(async (tx) => {
      if (entitlementId === null) throw new Error("no entitlement");
      await fleet.desiredState.withdraw(tx, [{ entitlementId, reason: "testing" }]);
    });
    expect(await codesOf(car)).toEqual(["ambientLight"]);
    expect(await fleet.stateOf(second)).toBe("OTAAttempt");
    await obey(car);
    expect(await fleet.stateOf(second)).toBe("ServiceActive");
    const ended = await fleet.db
      .selectFrom("entitlements")
      .select("state")
      .where("id", "=", entitlementId)
      .executeTakeFirstOrThrow();
    expect(ended.state).toBe("ended");
  });
});

/** Statements of this database that wait for another transaction. */
async function waitingForLocks(): Promise<number> {
  const { rows } = await sql`
    select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(
    fleet.db,
  );
  return rows.length;
}

describe("taking back", () => {
  async function cancel(activationId: string, car: Car) {
    return fleet.db
      .transaction()
      .execute((tx) => fleet.activations.cancel(tx, activationId, { kind: "customer", id: car.customerId }));
  }

  test("a purchase is cancelled while it waits, while the car is asked, and between attempts: nothing is charged", async () => {
    const car = await enrolledCar();
    const asked = await fleet.buy(car, "heatedSeats");
    const waiting = await fleet.buy(car, "ambientLight");
    expect(await cancel(waiting, car)).toEqual({ kind: "cancelled" });
    expect(await cancel(asked, car)).toEqual({ kind: "cancelled" });
    expect([await fleet.stateOf(asked), await fleet.stateOf(waiting)]).toEqual(["NoCharge", "NoCharge"]);
    const retried = await fleet.buy(car, "highwayAssist");
    const { manifest_version: version, manifest_hash: hash } = await linkRow(car);
    await report(car, { outcome: failed(version, hash) });
    expect(await fleet.stateOf(retried)).toBe("RetryQueue");
    expect(await cancel(retried, car)).toEqual({ kind: "cancelled" });
    expect(await codesOf(car)).toEqual([]);
    for (const id of [asked, waiting, retried]) expect(fleet.voided()).toContain(id);
    for (const id of [asked, waiting, retried]) expect(fleet.captured()).not.toContain(id);
  });

  test("a proof that comes after the cancellation charges nobody, and the car is told to take it out [fault 26]", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const late = await linkRow(car);
    await cancel(activationId, car);
    await report(car, {
      active: { version: late.manifest_version, hash: late.manifest_hash },
      outcome: applied(late.manifest_version, late.manifest_hash),
    });
    expect(await fleet.stateOf(activationId)).toBe("NoCharge");
    expect(fleet.captured()).not.toContain(activationId);
    expect([await codesOf(car), await isDue(car)]).toEqual([[], true]);
  });

  test("what was sent and cancelled is taken back though the car last said that it holds nothing: its report may be lost", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const dispatches = fleet.db
      .selectFrom("manifest_dispatches")
      .where("vehicle_id", "=", car.vehicleId)
      .select("sends");
    // Claimed here or by the platform's own dispatcher.
    while ((await dispatches.executeTakeFirst())?.sends === 0) await fleet.desiredState.takeDue(100);
    await cancel(activationId, car);
    expect([await codesOf(car), await isDue(car)]).toEqual([[], true]);
    await obey(car);
    expect(await isDue(car)).toBe(false);
  });

  test("what is being sent at the moment of the cancellation is taken back at once, not with the next re-send", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    // The platform's own dispatcher passes over a car that is away.
    await presence(car, "offline");
    const dispatch = (tx: Pick<TestFleet["db"], "updateTable">, sends: number) =>
      tx
        .updateTable("manifest_dispatches")
        .set({ sends, due_at: new Date(fleet.clock.now().getTime() + dayMs) })
        .where("vehicle_id", "=", car.vehicleId)
        .execute();
    await dispatch(fleet.db, 0);
    const cancelling = await fleet.db.transaction().execute(async (tx) => {
      await dispatch(tx, 1);
      const waiting = cancel(activationId, car);
      while ((await waitingForLocks()) === 0);
      return { waiting };
    });
    await cancelling.waiting;
    // Due at once, and claimed in vain: the car is away. A claim that is not over yet counts as a send.
    await vi.waitFor(async () => expect(await dispatchOf(car)).toMatchObject({ sends: 0 }), { interval: 5 });
  });

  test("a car that said it failed has left the version: nothing more is sent to it", async () => {
    const car = await enrolledCar();
    await fleet.buy(car, "heatedSeats");
    const { manifest_version: version, manifest_hash: hash } = await linkRow(car);
    await report(car, { outcome: failed(version, hash) });
    expect([await codesOf(car), await isDue(car)]).toEqual([[], false]);
  });

  test("a cancellation after the proof is answered honestly: it is already applied", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    await obey(car);
    expect(await cancel(activationId, car)).toMatchObject({
      kind: "refused",
      code: "conflict",
      detail: expect.stringMatching(/already applied/),
    });
    expect(await codesOf(car)).toEqual(["heatedSeats"]);
  });

  test("cancellation and proof race: exactly one of them wins", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const [cancelled] = await Promise.all([cancel(activationId, car), obey(car)]);
    const isCaptured = fleet.captured().includes(activationId);
    const isVoided = fleet.voided().includes(activationId);
    expect([isCaptured, isVoided]).toEqual(cancelled.kind === "cancelled" ? [false, true] : [true, false]);
  });

  test("a bank that will not pay what it held, after the proof: the service leaves the car and the customer is told", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    await obey(car);
    const { context, db } = fleet;
    await db.transaction().execute((tx) =>
      context.publish(tx, "servicePaymentLost", [
        {
          activationId,
          paymentId: activationId,
          reason: "card_declined",
        },
      ]),
    );
    expect(await codesOf(car)).toEqual([]);
    await obey(car);
    const entitlement = await db
      .selectFrom("activations")
      .innerJoin("entitlements", "entitlements.id", "activations.entitlement_id")
      .select(["entitlements.state", "entitlements.end_reason"])
      .where("activations.id", "=", activationId)
      .executeTakeFirstOrThrow();
    expect(entitlement).toEqual({ state: "ended", end_reason: "lateDecline" });
    const told = fleet.published.filter(
      ({ name, event }) => name === "notificationDue" && event.row === "NX2",
    );
    expect(told).toHaveLength(1);
  });
});

describe("many cars at once", () => {
  async function rollOut(cars: readonly Car[], level: number) {
    const ids = cars.map((car) => car.vehicleId);
    return fleet.db
      .transaction()
      .execute((tx) => fleet.desiredState.rollOut(tx, ids, { code: "firmware", configuration: { level } }));
  }

  async function obeyTogether(cars: readonly Car[]) {
    const rows = await Promise.all(cars.map(async (car) => ({ car, row: await linkRow(car) })));
    const received = rows.map(({ car, row }) => ({
      vin: parseVin(car.vin),
      token: `signed.${row.manifest_version}.x`,
      proofKey: car.proofKey,
      report: {
        vin: parseVin(car.vin),
        seq: ++car.seq,
        active: { version: row.manifest_version, hash: row.manifest_hash },
        outcome: applied(row.manifest_version, row.manifest_hash),
        deferred: null,
        refused: {},
        keySetVersion: 1,
        sentAt: new Date().toISOString(),
      },
    }));
    return fleet.db.transaction().execute((tx) => fleet.desiredState.ingest(tx, received));
  }

  test("a roll-out step is one version a car, proved by their reports in one batch; the next step replaces it", async () => {
    const cars = await Promise.all(Array.from({ length: 8 }, () => enrolledCar()));
    expect(await rollOut(cars, 1)).toEqual({ carried: 8, waiting: [] });
    expect(await obeyTogether(cars)).toEqual(
      cars.map(() => ({ kind: "taken", proved: true, failed: null, converged: true })),
    );
    expect(await rollOut(cars, 2)).toEqual({ carried: 8, waiting: [] });
    await obeyTogether(cars);
    for (const car of cars) {
      expect([await codesOf(car), await isDue(car)]).toEqual([["firmware"], false]);
      const held = await fleet.db
        .selectFrom("entitlements")
        .select(["state", "configuration"])
        .where("vehicle_id", "=", car.vehicleId)
        .orderBy("created_at")
        .execute();
      expect(held.map(({ state }) => state).sort()).toEqual(["ended", "proved"]);
      const proofs = await fleet.db
        .selectFrom("plan_proofs")
        .select("version")
        .where("vehicle_id", "=", car.vehicleId)
        .execute();
      expect(proofs.map(({ version }) => version).sort()).toEqual([1, 2]);
    }
  });

  test("a car with another change under way waits for the roll-out, and a purchase waits for the roll-out's proof", async () => {
    const [busy, free] = [await enrolledCar(), await enrolledCar()];
    await fleet.buy(busy, "heatedSeats");
    expect(await rollOut([busy, free], 1)).toEqual({ carried: 1, waiting: [busy.vehicleId] });
    expect(await codesOf(busy), "a car that waits is left as it is").toEqual(["heatedSeats"]);
    const bought = await fleet.buy(free, "heatedSeats");
    expect(await fleet.stateOf(bought)).toBe("OTAQueue");
    await obeyTogether([free]);
    expect(await fleet.stateOf(bought)).toBe("OTAAttempt");
    expect(await codesOf(free)).toEqual(["firmware", "heatedSeats"]);
  });

  test("a batch in which a car speaks twice, one is unknown and one fails takes each as if it were alone", async () => {
    const [twice, failing] = [await enrolledCar(), await enrolledCar()];
    await rollOut([twice, failing], 1);
    const row = await linkRow(twice);
    const failingRow = await linkRow(failing);
    const one = (car: Car, seq: number, outcome: Outcome | null, active: Report["active"]) => ({
      vin: parseVin(car.vin),
      token: `signed.${seq}.x`,
      proofKey: car.proofKey,
      report: {
        vin: parseVin(car.vin),
        seq,
        active,
        outcome,
        deferred: null,
        refused: {},
        keySetVersion: 1,
        sentAt: new Date().toISOString(),
      } satisfies Report,
    });
    const now = { version: row.manifest_version, hash: row.manifest_hash };
    const unknown = { ...twice, vin: "JH4KA7561PC008269" };
    const answers = await fleet.db.transaction().execute((tx) =>
      fleet.desiredState.ingest(tx, [
        one(twice, 1, null, { version: 0, hash: emptyManifestHash }),
        one(failing, 1, failed(failingRow.manifest_version, failingRow.manifest_hash), {
          version: 0,
          hash: emptyManifestHash,
        }),
        one(unknown, 1, null, now),
        one(twice, 2, applied(now.version, now.hash), now),
      ]),
    );
    expect(answers).toEqual([
      { kind: "taken", proved: false, failed: null, converged: false },
      { kind: "taken", proved: false, failed: "probeFailed", converged: true },
      { kind: "unknownCar" },
      { kind: "taken", proved: true, failed: null, converged: true },
    ]);
  });
});

describe("a roll-out that fails", () => {
  test("a step that fails leaves the former one in the car, and is tried again", async () => {
    const car = await enrolledCar();
    const rollOut = (level: number) =>
      fleet.db
        .transaction()
        .execute((tx) =>
          fleet.desiredState.rollOut(tx, [car.vehicleId], { code: "firmware", configuration: { level } }),
        );
    const levels = async () => {
      const { manifest_version: version } = await linkRow(car);
      const { entries } = await fleet.db
        .selectFrom("manifests")
        .select("entries")
        .where("vehicle_id", "=", car.vehicleId)
        .where("version", "=", version)
        .executeTakeFirstOrThrow();
      return entries.map((entry) => (entry as { configuration: { level: number } }).configuration.level);
    };
    await rollOut(1);
    await obey(car);
    await rollOut(2);
    expect(await levels()).toEqual([2]);
    const { manifest_version: version, manifest_hash: hash } = await linkRow(car);
    await report(car, { outcome: failed(version, hash) });
    expect(await levels()).toEqual([1]);
    await obey(car);
    fleet.clock.advanceMs(6 * minuteMs);
    await fleet.runTimers();
    expect(await levels()).toEqual([2]);
    await obey(car);
    expect(await levels()).toEqual([2]);
  });
});

describe("k purchases at once", () => {
  test("end in one manifest that is their union, whatever order requests and reports come in; a failing one undoes none", async () => {
    for (const failing of [null, "heatedSeats", "ambientLight"]) {
      const car = await enrolledCar();
      const codes = ["heatedSeats", "highwayAssist", "ambientLight"];
      const ids = await Promise.all(codes.map((code) => fleet.buy(car, code)));
      for (let round = 0; round < codes.length; round += 1) {
        const row = await linkRow(car);
        const activation = row.unproved_activation_id;
        const code = activation === null ? undefined : codes[ids.indexOf(activation)];
        if (code === failing && row.unproved_version !== null)
          await report(car, { outcome: failed(row.manifest_version, row.manifest_hash, "permanent") });
        else await obey(car);
      }
      const expected = codes.filter((code) => code !== failing).sort();
      expect([failing, await codesOf(car)]).toEqual([failing, expected]);
      await fleet.runJobs();
      const states = await Promise.all(ids.map((id) => fleet.stateOf(id)));
      expect(states).toEqual(codes.map((code) => (code === failing ? "NoCharge" : "ServiceActive")));
    }
  });
});

const entitlementOf = (activationId: string) =>
  fleet.db
    .selectFrom("entitlements")
    .innerJoin("activations", "activations.entitlement_id", "entitlements.id")
    .where("activations.id", "=", activationId)
    .selectAll("entitlements")
    .executeTakeFirstOrThrow();

async function termsOf(car: TestCar): Promise<unknown[]> {
  return (await entriesOf(car)).map(({ term }) => term);
}

describe("terms", () => {
  const termMs = 30 * dayMs;

  /** Buys, and reports that the car applied it at `appliedAt`. */
  async function applyAt(car: Car, appliedAt: (boughtAt: Date) => Date, heardAfterMs: number) {
    const boughtAt = fleet.clock.now();
    const activationId = await fleet.buy(car, "heatedSeats");
    fleet.clock.advanceMs(heardAfterMs);
    const { manifest_version: version, manifest_hash: hash } = await linkRow(car);
    const outcome = applied(version, hash);
    const said = { ...outcome, appliedAt: appliedAt(boughtAt).toISOString() };
    await report(car, { active: { version, hash }, outcome: said as Outcome });
    const { valid_until: validUntil } = await entitlementOf(activationId);
    return { activationId, boughtAt, validUntil };
  }
  const doubtsOf = (car: TestCar) =>
    fleet.db
      .selectFrom("tasks")
      .select(sql<string>`detail->>'doubt'`.as("doubt"))
      .where("vehicle_id", "=", car.vehicleId)
      .execute();

  test("the term of a car that reports late begins when it applied the service, not when it said so", async () => {
    const car = await enrolledCar();
    const { boughtAt, validUntil } = await applyAt(
      car,
      (at) => new Date(at.getTime() + minuteMs),
      120 * minuteMs,
    );
    expect(validUntil?.getTime()).toBe(boughtAt.getTime() + minuteMs + termMs);
    expect(await doubtsOf(car)).toEqual([]);
  });

  test.each([
    { lie: "2099-01-01T00:00:00.000Z", isKeptAt: "heard" },
    { lie: "9999-12-31T23:59:59.999Z", isKeptAt: "heard" },
    { lie: "2020-01-01T00:00:00.000Z", isKeptAt: "bought" },
  ])(
    "a car that says it applied at $lie gets the term of what can be true, is charged once, and support hears of it [R1]",
    async ({ lie, isKeptAt }) => {
      const car = await enrolledCar();
      const { activationId, boughtAt, validUntil } = await applyAt(car, () => new Date(lie), 5 * minuteMs);
      const beginsMs = boughtAt.getTime() + (isKeptAt === "heard" ? 5 * minuteMs : 0);
      expect(validUntil?.getTime()).toBe(beginsMs + termMs);
      expect(await fleet.stateOf(activationId)).toBe("ServiceActive");
      expect(fleet.captured().filter((id) => id === activationId)).toHaveLength(1);
      expect(await doubtsOf(car)).toEqual([{ doubt: "appliedAtImpossible" }]);
      const staff = await seedStaff(fleet);
      expect((await staff.support.get(`/api/vehicles/${car.vehicleId}/activations`)).status).toBe(200);
    },
  );

  test("once it is proved, every later version says until when it runs", async () => {
    const car = await enrolledCar();
    const { validUntil } = await applyAt(car, (at) => at, 0);
    await fleet.buy(car, "ambientLight");
    expect(await termsOf(car)).toContainEqual({ kind: "until", validUntil: validUntil?.toISOString() });
    expect(await termsOf(car)).toContainEqual({ kind: "duration", seconds: termMs / 1_000 });
  });

  test("the end of a term that was withdrawn before changes nothing", async () => {
    const car = await enrolledCar();
    const { activationId } = await applyAt(car, (at) => at, 0);
    const { id: entitlementId } = await entitlementOf(activationId);
    await fleet.db
      .transaction()
      .execute((tx) => fleet.desiredState.withdraw(tx, [{ entitlementId, reason: "testing" }]));
    const { manifest_version: version } = await linkRow(car);
    fleet.clock.advanceMs(termMs);
    await fleet.runTimers();
    expect(await entitlementOf(activationId)).toMatchObject({ state: "ending", end_reason: "testing" });
    expect((await linkRow(car)).manifest_version).toBe(version);
    await obey(car);
    expect(await entitlementOf(activationId)).toMatchObject({ state: "ended", end_reason: "testing" });
  });

  test("what a car was sold with is granted once, however often its delivery is asked for", async () => {
    const car = await enrolledCar();
    for (let times = 0; times < 2; times += 1)
      await fleet.db.transaction().execute((tx) => fleet.desiredState.deliverPlan(tx, car.vehicleId));
    const granted = await fleet.db
      .selectFrom("entitlements")
      .select("code")
      .where("vehicle_id", "=", car.vehicleId)
      .execute();
    expect(granted.map(({ code }) => code).sort()).toEqual(["plataformaBase", "towBar"]);
  });

  test("the proof of a later attempt leaves the earlier ones as they ended", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const { manifest_version: version, manifest_hash: hash } = await linkRow(car);
    await report(car, { outcome: failed(version, hash) });
    fleet.clock.advanceMs(dayMs);
    await fleet.runTimers();
    await fleet.waitFor(activationId, "OTAAttempt");
    await obey(car);
    const attempts = await fleet.db
      .selectFrom("attempts")
      .select(["attempt", "result"])
      .where("activation_id", "=", activationId)
      .orderBy("attempt")
      .execute();
    expect(attempts).toEqual([
      { attempt: 1, result: "failed" },
      { attempt: 2, result: "applied" },
    ]);
  });
});

describe("a car whose word cannot be true", () => {
  test("one that claims a version far above ours is not followed, and its next purchase is delivered [R6]", async () => {
    const car = await enrolledCar();
    const answer = await report(car, { active: { version: 1_999_999_999, hash: emptyManifestHash } });
    expect(answer).toEqual({ kind: "doubted", because: "versionFarAhead" });
    const activationId = await fleet.buy(car, "heatedSeats");
    expect((await linkRow(car)).manifest_version).toBe(1);
    await obey(car);
    expect(await fleet.stateOf(activationId)).toBe("ServiceActive");
  });

  test("one that counts its reports from 1 again is told to support once, as a task and by mail, and its report changes nothing [F4, 12]", async () => {
    const car = await enrolledCar();
    await report(car, { seq: 40 });
    const later = new Date(fleet.clock.now().getTime() + 1_000).toISOString();
    const known = await linkRow(car);
    for (const seq of [1, 2])
      expect(
        await report(car, { seq, sentAt: later, active: { version: 0, hash: emptyManifestHash } }),
      ).toEqual({ kind: "doubted", because: "countersDisagree" });
    expect(await linkRow(car)).toEqual(known);
    const tasks = fleet.db
      .selectFrom("tasks")
      .select(["kind", "team", "status"])
      .where("vehicle_id", "=", car.vehicleId);
    expect(await tasks.execute()).toEqual([{ kind: "carDoubted", team: "support", status: "open" }]);
    const mails = fleet.db
      .selectFrom("notifications")
      .select(["row_id", "recipient", "channel", "address", "body"])
      .where("vehicle_id", "=", car.vehicleId)
      .where("row_id", "=", "NX14");
    expect(await mails.execute()).toEqual([
      {
        row_id: "NX14",
        recipient: "support",
        channel: "email",
        address: fleet.config.SUPPORT_EMAIL,
        body: expect.stringContaining("counts its reports from another memory"),
      },
    ]);
    // Settled, and it happens again: that is news.
    await fleet.db
      .updateTable("tasks")
      .set({ status: "resolved" })
      .where("vehicle_id", "=", car.vehicleId)
      .execute();
    await report(car, { seq: 3, sentAt: later });
    expect(await tasks.execute()).toHaveLength(2);
  });

  test("a report that was verified with the key of an identity that has ended since has no effect [F4]", async () => {
    const car = await enrolledCar();
    const known = await linkRow(car);
    const stranger = Object.assign({ ...car }, { proofKey: (await enrolledCar()).proofKey });
    expect(await report(stranger, { seq: 5 })).toEqual({ kind: "formerIdentity" });
    expect(await linkRow(car)).toEqual(known);
  });
});

describe("sending", () => {
  /** Waits for the platform's own dispatcher, which sends what is due, and says how long it waits until the next time. */
  async function waitAfterSending(car: Car, sends: number): Promise<number> {
    const dueAt = await fleet.waitUntil(`sent ${sends} times`, async () => {
      const dispatch = await dispatchOf(car);
      return dispatch?.sends === sends ? dispatch.due_at : undefined;
    });
    return dueAt.getTime() - fleet.clock.now().getTime();
  }

  test("what is due is sent again with growing waits for as long as it is due, though the car never answers [R16]", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    await obey(car);
    const { id: entitlementId } = await entitlementOf(activationId);
    await fleet.db
      .transaction()
      .execute((tx) => fleet.desiredState.withdraw(tx, [{ entitlementId, reason: "testing" }]));
    const waits: number[] = [];
    while (waits.length < 14) {
      waits.push(await waitAfterSending(car, waits.length + 1));
      fleet.clock.advanceMs(waits.at(-1) ?? 0);
    }
    const seconds = [10, 20, 40, 80, 180, 300, 600, 1_200, 2_400, 4_800, 9_600, 21_600, 21_600, 21_600];
    expect(waits).toEqual(seconds.map((each) => each * 1_000));
    await obey(car);
    expect(await isDue(car)).toBe(false);
    expect(await entitlementOf(activationId)).toMatchObject({ state: "ended" });
  });

  test("from a car that stayed silent the service is taken back: it may have applied it [FA6, R16]", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const { manifest_version: version } = await linkRow(car);
    for (const [at, seconds] of [10, 20, 40, 80].entries()) {
      expect(await waitAfterSending(car, at + 1)).toBe(seconds * 1_000);
      fleet.clock.advanceMs(seconds * 1_000);
    }
    await fleet.waitFor(activationId, "RetryQueue");
    expect([await codesOf(car), await isDue(car)]).toEqual([[], true]);
    expect((await linkRow(car)).manifest_version).toBe(version + 1);
  });

  test("a car that is online and silent is asked again with the same version, then its attempt has failed [FA6]", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const { manifest_version: version } = await linkRow(car);
    // The platform's own dispatcher claims some of the sendings.
    const taken = new Map<number, string>();
    for (;;) {
      for (const due of await fleet.desiredState.takeDue(100))
        if (due.vin === car.vin) taken.set(due.version, due.entriesJson);
      const sends = (await dispatchOf(car))?.sends ?? 0;
      if (sends > sendingsOfAttempt || (await linkRow(car)).manifest_version !== version) break;
      fleet.clock.advanceMs(Math.max(...resendAfterMs));
    }
    await fleet.waitFor(activationId, "RetryQueue");
    // The last of it may be what follows the failure: the next version, without the service.
    const { manifest_version: afterwards } = await linkRow(car);
    expect(afterwards).toBe(version + 1);
    expect([...taken.keys()]).toContain(version);
    for (const [sent, entriesJson] of taken) {
      expect([version, afterwards]).toContain(sent);
      expect(entriesJson.includes("heatedSeats")).toBe(sent === version);
    }
    const [attempt] = await fleet.db
      .selectFrom("attempts")
      .selectAll()
      .where("activation_id", "=", activationId)
      .execute();
    expect(attempt).toMatchObject({
      result: "failed",
      reason: "noAnswer",
      failure_class: "transient",
      report: null,
    });
  });

  test("presence: an older connection's word has no effect", async () => {
    const car = await enrolledCar();
    await presence(car, "online", 7);
    await presence(car, "offline", 6);
    expect((await linkRow(car)).presence).toBe("online");
    await presence(car, "offline", 7);
    expect((await linkRow(car)).presence).toBe("offline");
  });

  test("a car with an older key set gets it before the manifest", async () => {
    const car = await enrolledCar();
    await fleet.buy(car, "heatedSeats");
    await report(car, { keySetVersion: 0 });
    expect((await linkRow(car)).key_set_version).toBe(0);
    expect(await isDue(car)).toBe(true);
  });

  test("two replicas that take in the same report: one of them changes something", async () => {
    const car = await enrolledCar();
    const activationId = await fleet.buy(car, "heatedSeats");
    const row = await linkRow(car);
    const said = {
      active: { version: row.manifest_version, hash: row.manifest_hash },
      outcome: applied(row.manifest_version, row.manifest_hash),
      seq: 9,
      sentAt: new Date().toISOString(),
    };
    const both = await Promise.all([report(car, said), report(car, said)]);
    expect(both.map(({ kind }) => kind).sort()).toEqual(["repeated", "taken"]);
    expect(fleet.captured().filter((id) => id === activationId)).toHaveLength(1);
  });
});
