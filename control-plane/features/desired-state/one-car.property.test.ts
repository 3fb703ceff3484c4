import { dayMs, minuteMs } from "@caas/contract/durations.ts";
import type { Outcome, Report } from "@caas/contract/report.ts";
import { parseVin } from "@caas/contract/vin.ts";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Transaction } from "../../store/database.ts";
import { isConflict } from "../../store/database-errors.ts";
import { startTestFleet, type TestCar, type TestFleet } from "../../testing/fixtures/fleet.ts";
import { selectServices } from "../activations/select-services.ts";

// Whatever people, the car, the clock and the roll-outs do with one car, at once or one after the other: it ends in
// one manifest that is the union of what it should hold. The model below knows nothing of the engine's tables; it is
// the car, and what was answered to those who asked.

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await startTestFleet();
});
afterAll(() => fleet?.close());

const codes = ["heatedSeats", "highwayAssist", "ambientLight"] as const;
const termMs = 30 * dayMs;

type Deed =
  | { do: "buy"; code: (typeof codes)[number] }
  /** The customer changes their mind about the purchase with this number, if there is one. */
  | { do: "cancel"; purchase: number }
  /** The bank will not pay what it held. */
  | { do: "loseItsMoney"; purchase: number }
  | { do: "carApplies" }
  | { do: "carFails"; failureClass: "transient" | "permanent" }
  | { do: "carRepeatsItself" }
  | { do: "carLeaves" }
  | { do: "carReturns" }
  | { do: "rollOut" }
  | { do: "timePasses"; minutes: number };

/** What is done at once. */
type Moment = readonly Deed[];

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("buy" as const), code: fc.constantFrom(...codes) }) },
  { weight: 5, arbitrary: fc.constant<Deed>({ do: "carApplies" }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("carFails" as const),
      failureClass: fc.constantFrom("permanent" as const, "transient" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel" as const), purchase: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("loseItsMoney" as const), purchase: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.constant<Deed>({ do: "carRepeatsItself" }) },
  { weight: 1, arbitrary: fc.constant<Deed>({ do: "carLeaves" }) },
  { weight: 1, arbitrary: fc.constant<Deed>({ do: "carReturns" }) },
  { weight: 3, arbitrary: fc.constant<Deed>({ do: "rollOut" }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("timePasses" as const),
      minutes: fc.constantFrom(10, 24 * 60, 40 * 24 * 60),
    }),
  },
);
const moments: fc.Arbitrary<Moment[]> = fc.array(fc.array(deed, { minLength: 1, maxLength: 3 }), {
  minLength: 1,
  maxLength: 10,
});

type Purchase = { id: string; code: string; cancelled: boolean; moneyLost: boolean };

/** One car and its owner. What the car did is recorded here, and only here. */
class Life {
  readonly car: TestCar;
  readonly purchases: Purchase[] = [];
  /** Entries the car holds, and the version that brought them. */
  #active: Report["active"];
  held = new Set<string>();
  #processed = 0;
  #outcome: Outcome | null = null;
  #seq = 0;
  #connection = 0;
  /** When the car applied each entry first. */
  readonly appliedAt = new Map<string, Date>();
  /** The last roll-out step that was taken on; those of one moment may come in either order. */
  levels = new Set<number>();
  /** What a car says leaves it in order. */
  #speaking: Promise<unknown> = Promise.resolve();
  /** How often a step of a roll-out was held: once one is, there is always one. */
  firmwareHeld = 0;
  readonly seenVersions = new Map<number, { hash: string; activation_id: string | null }>();

  constructor(car: TestCar, empty: Report["active"]) {
    this.car = car;
    this.#active = empty;
  }

  say(failureClass: "transient" | "permanent" | null, mayProcess = true): Promise<void> {
    const saying = this.#speaking.then(async () => {
      const newest = await readNewest(this.car);
      if (mayProcess && newest.version > this.#processed) this.#process(newest, failureClass);
      this.#seq += 1;
      const report: Report = {
        vin: parseVin(this.car.vin),
        seq: this.#seq,
        active: this.#active,
        outcome: this.#outcome,
        deferred: null,
        refused: {},
        keySetVersion: 1,
        sentAt: new Date().toISOString(),
      };
      await transact((tx) =>
        fleet.desiredState.ingest(tx, [
          { vin: report.vin, report, token: `signed.${report.seq}.x`, proofKey: this.car.proofKey },
        ]),
      );
    });
    this.#speaking = saying.catch(() => undefined);
    return saying;
  }

  /** At most once a version, and all of it or nothing. */
  #process(newest: Newest, failureClass: "transient" | "permanent" | null): void {
    const { version, hash } = newest;
    this.#processed = version;
    const now = fleet.clock.now();
    // What only takes away cannot fail.
    const adds = newest.ids.some((id) => !this.held.has(id));
    if (failureClass !== null && adds) {
      this.#outcome = {
        result: "failed",
        version,
        hash,
        reason: "probeFailed",
        failureClass,
        detail: "said by the model",
        rolledBack: true,
        timings: { verifiedMs: 1 },
      };
      return;
    }
    for (const id of newest.ids) if (!this.appliedAt.has(id)) this.appliedAt.set(id, now);
    this.held = new Set(newest.ids);
    this.#active = { version, hash };
    this.#outcome = {
      result: "applied",
      version,
      hash,
      appliedAt: now.toISOString(),
      timings: { verifiedMs: 1 },
    };
  }

  async be(state: "online" | "offline"): Promise<void> {
    if (state === "online") this.#connection += 1;
    const connection = Math.max(this.#connection, 1);
    await transact((tx) =>
      fleet.desiredState.recordPresences(tx, [
        { vin: parseVin(this.car.vin), presence: { state, connection } },
      ]),
    );
  }
}

type Newest = { version: number; hash: string; ids: string[] };

async function readNewest(car: TestCar): Promise<Newest> {
  const row = await fleet.db
    .selectFrom("vehicle_links as link")
    .leftJoin("manifests as manifest", (join) =>
      join
        .onRef("manifest.vehicle_id", "=", "link.vehicle_id")
        .onRef("manifest.version", "=", "link.manifest_version"),
    )
    .where("link.vehicle_id", "=", car.vehicleId)
    .select(["link.manifest_version", "link.manifest_hash", "manifest.entries"])
    .executeTakeFirstOrThrow();
  const ids = (row.entries ?? []).map((entry) => (entry as { id: string }).id); // written by writeVersions
  return { version: row.manifest_version, hash: row.manifest_hash, ids };
}

/** As the ingester does: a transaction that the database undid so that others could finish is run again. */
async function transact<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await fleet.db.transaction().execute(work);
    } catch (error) {
      if (!isConflict(error) || tries === 5) throw error;
    }
  }
}

let level = 0;

async function perform(life: Life, deed: Deed): Promise<void> {
  const { car } = life;
  const { context } = fleet;
  switch (deed.do) {
    case "buy": {
      const [selected] = await transact((tx) =>
        selectServices(context, tx, [
          {
            vehicleId: car.vehicleId,
            serviceId: fleet.serviceId(deed.code),
            customerId: car.customerId,
            paymentMethod: "pm_card_visa",
            terms: 1,
            actor: { kind: "customer", id: car.customerId },
          },
        ]),
      );
      if (selected.kind === "selected")
        life.purchases.push({
          id: selected.activationId,
          code: deed.code,
          cancelled: false,
          moneyLost: false,
        });
      await fleet.runJobs();
      return;
    }
    case "cancel": {
      const purchase = life.purchases[deed.purchase];
      if (purchase === undefined) return;
      const answer = await transact((tx) =>
        fleet.activations.cancel(tx, purchase.id, { kind: "customer", id: car.customerId }),
      );
      if (answer.kind === "cancelled") purchase.cancelled = true;
      return;
    }
    case "loseItsMoney": {
      const purchase = life.purchases[deed.purchase];
      if (purchase === undefined || (await fleet.stateOf(purchase.id)) !== "ServiceActive") return;
      purchase.moneyLost = true;
      return transact((tx) =>
        context.publish(tx, "servicePaymentLost", [
          {
            activationId: purchase.id,
            paymentId: purchase.id,
            reason: "card_declined",
          },
        ]),
      );
    }
    case "carApplies":
      return life.say(null);
    case "carFails":
      return life.say(deed.failureClass);
    case "carRepeatsItself":
      return life.say(null, false);
    case "carLeaves":
      return life.be("offline");
    case "carReturns":
      return life.be("online");
    case "rollOut": {
      level += 1;
      const configuration = { level };
      const { carried } = await transact((tx) =>
        fleet.desiredState.rollOut(tx, [car.vehicleId], { code: "firmware", configuration }),
      );
      if (carried === 1) life.levels.add(configuration.level);
      return;
    }
    case "timePasses":
      fleet.clock.advanceMs(deed.minutes * minuteMs);
      await fleet.runTimers();
      await fleet.runJobs();
      return;
  }
}

async function readEntitlements(life: Life) {
  return fleet.db
    .selectFrom("entitlements")
    .selectAll()
    .where("vehicle_id", "=", life.car.vehicleId)
    .execute();
}

/** What holds after every moment, whatever happened in it. */
async function expectOrder(life: Life, after: string): Promise<void> {
  const { db } = fleet;
  const versions = await db
    .selectFrom("manifests")
    .select(["version", "hash", "activation_id"])
    .where("vehicle_id", "=", life.car.vehicleId)
    .orderBy("version")
    .execute();
  const newest = await readNewest(life.car);
  expect([after, newest.version], "the newest version is the last one written").toEqual([
    after,
    versions.at(-1)?.version ?? 0,
  ]);
  for (const [version, seen] of life.seenVersions) {
    const row = versions.find((one) => one.version === version);
    expect(row?.hash ?? seen.hash, `${after}: version ${version} says what it said`).toBe(seen.hash);
    // A former version that nobody paid for may go when the next step of a roll-out comes.
    if (row === undefined) expect([after, version, seen.activation_id]).toEqual([after, version, null]);
  }
  for (const row of versions) life.seenVersions.set(row.version, row);

  const entitlements = new Map((await readEntitlements(life)).map((row) => [row.id, row]));
  const inManifest = newest.ids.map((id) => entitlements.get(id));
  const gone = inManifest.filter((row) => row === undefined || !["wanted", "proved"].includes(row.state));
  expect(gone, `${after}: a removal never waits`).toEqual([]);
  const unproved = inManifest.filter((row) => row?.state === "wanted");
  const changes = new Set(unproved.map((row) => (row?.source === "plan" ? "rollOut" : row?.id)));
  expect(changes.size, `${after}: at most one unproved change`).toBeLessThanOrEqual(1);
  const proved = [...entitlements.values()].filter((row) => row.state === "proved");
  const replaced = unproved.some((row) => row?.source === "plan") ? "firmware" : null;
  const standing = proved.some(({ code }) => code === "firmware");
  const isInManifest = inManifest.some((row) => row?.code === "firmware");
  expect(
    isInManifest || (life.firmwareHeld === 0 && !standing),
    `${after}: a step that fails leaves the former one`,
  ).toBe(true);
  life.firmwareHeld += standing ? 1 : 0;
  const missing = proved.filter(({ id, code }) => !newest.ids.includes(id) && code !== replaced);
  expect(missing, `${after}: what is proved stays`).toEqual([]);
}

/** The car drives, obeys, and time passes until nothing waits any more. */
async function settle(life: Life): Promise<void> {
  await life.be("online");
  for (let round = 0; round < 40; round += 1) {
    await life.say(null);
    await fleet.runJobs();
    const open = await fleet.db
      .selectFrom("vehicle_links as link")
      .where("link.vehicle_id", "=", life.car.vehicleId)
      .where((where) =>
        where.or([
          where("unproved_version", "is not", null),
          where("active_hash", "<>", where.ref("manifest_hash")),
          where.exists(
            where
              .selectFrom("activations")
              .whereRef("activations.vehicle_id", "=", "link.vehicle_id")
              .where("activations.ended_at", "is", null)
              .select("activations.id"),
          ),
          where.exists(
            where
              .selectFrom("entitlements")
              .whereRef("entitlements.vehicle_id", "=", "link.vehicle_id")
              .where("entitlements.state", "in", ["wanted", "ending"])
              .select("entitlements.id"),
          ),
        ]),
      )
      .select("link.vin")
      .executeTakeFirst();
    if (open === undefined) return;
    await perform(life, { do: "timePasses", minutes: 10 });
  }
  throw new Error("the car does not settle");
}

/** A car that proves its service after the hold has lapsed was delivered for nothing: the gateway captures no more. */
async function holdHasLapsed({ id }: Purchase): Promise<boolean> {
  const payment = await fleet.db
    .selectFrom("payments")
    .select("gateway_payment_id")
    .where("activation_id", "=", id)
    .executeTakeFirst();
  if (payment?.gateway_payment_id == null) return false;
  return (await fleet.partners.gateway.retrieve(payment.gateway_payment_id)).status === "released";
}

/** What should be held, by the model, against what the manifest says and the car holds. */
async function expectUnion(life: Life): Promise<void> {
  const newest = await readNewest(life.car);
  const entitlements = await readEntitlements(life);
  const now = fleet.clock.now();
  const due: string[] = [];
  for (const purchase of life.purchases) {
    const { entitlement_id: entitlementId, state } = await fleet.db
      .selectFrom("activations")
      .select(["entitlement_id", "state"])
      .where("id", "=", purchase.id)
      .executeTakeFirstOrThrow();
    const appliedAt = entitlementId === null ? undefined : life.appliedAt.get(entitlementId);
    expect(["ServiceActive", "NoCharge"], purchase.code).toContain(state);
    if (purchase.cancelled) expect(state, `${purchase.code} was cancelled`).toBe("NoCharge");
    if (appliedAt === undefined) expect(state, `${purchase.code} was never applied`).toBe("NoCharge");
    const money = await fleet.db
      .selectFrom("steps")
      .select("event")
      .where("activation_id", "=", purchase.id)
      .where("event", "in", ["activationConfirmed", "chargeReleased", "customerCancelled"])
      .execute();
    const paid = money.filter(({ event }) => event === "activationConfirmed");
    expect(
      [paid.length, money.length - paid.length > 0],
      `${purchase.code} is paid or released, once`,
    ).toEqual(state === "ServiceActive" ? [1, false] : [0, true]);
    const runs = appliedAt !== undefined && appliedAt.getTime() + termMs > now.getTime();
    const isUnpaid = purchase.moneyLost || (await holdHasLapsed(purchase));
    if (state === "ServiceActive" && runs && !isUnpaid && entitlementId !== null) due.push(entitlementId);
  }
  const firmware = entitlements.filter(({ code, state }) => code === "firmware" && state === "proved");
  expect(firmware.length, "one step of a roll-out is held").toBe(life.levels.size === 0 ? 0 : 1);
  for (const { id, configuration } of firmware) {
    expect([...life.levels]).toContain(configuration.level);
    due.push(id);
  }
  expect(newest.ids.toSorted(), "the manifest is the union of what should be held").toEqual(due.toSorted());
  expect([...life.held].sort(), "the car holds it").toEqual(due.toSorted());
}

function nameOf(deed: Deed): string {
  const { do: name, ...rest } = deed;
  return [name, ...Object.values(rest)].join(" ");
}

const seed = Number(process.env.PROPERTY_SEED ?? Date.now() % 2 ** 31);

test("whatever happens to one car, at once or in turn, ends in one manifest that is the union of what should be held", async () => {
  let lives = 0;
  const outcome = await fc.check(
    fc.asyncProperty(moments, async (all) => {
      const car = await fleet.addCar({ online: false });
      const { manifest_hash: hash } = await fleet.db
        .selectFrom("vehicle_links")
        .select("manifest_hash")
        .where("vehicle_id", "=", car.vehicleId)
        .executeTakeFirstOrThrow();
      const life = new Life(car, { version: 0, hash });
      await life.be("online");
      for (const moment of all) {
        if (moment.some((one) => one.do === "rollOut")) {
          const before = life.levels;
          life.levels = new Set();
          await Promise.all(moment.map((one) => perform(life, one)));
          if (life.levels.size === 0) life.levels = before;
        } else await Promise.all(moment.map((one) => perform(life, one)));
        await expectOrder(life, moment.map(nameOf).join(" + "));
      }
      await settle(life);
      await expectOrder(life, "settled");
      await expectUnion(life);
      lives += 1;
      // Another run's clock must not wake what this one left.
      await fleet.db.deleteFrom("timers").execute();
    }),
    {
      seed,
      numRuns: 200,
      interruptAfterTimeLimit: 12_000,
    },
  );
  console.info(`PROPERTY_SEED=${seed}: ${lives} lives of a car`);
  // How it failed, shrunk to the fewest moments; `interrupted` is only the end of the time.
  if (outcome.failed && outcome.counterexample !== null)
    throw new Error(fc.defaultReportMessage(outcome), { cause: outcome.errorInstance });
  expect(lives).toBeGreaterThan(3);
});
