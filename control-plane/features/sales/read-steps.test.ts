import { afterAll, beforeAll, expect, test } from "vitest";
import { system } from "../../lifecycle/actor.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { startTestFleet, type TestCar, type TestFleet } from "../../testing/fixtures/fleet.ts";
import { readSteps } from "./read-steps.ts";

let fleet: TestFleet;
let car: TestCar;
let expedienteId: string;
beforeAll(async () => {
  fleet = await startTestFleet();
  car = await fleet.addCar({ online: false });
  const row = await fleet.db
    .selectFrom("expedientes")
    .select("id")
    .where("vehicle_id", "=", car.vehicleId)
    .executeTakeFirstOrThrow();
  expedienteId = row.id;
});
afterAll(() => fleet?.close());

function read(after: number, waitMs: number) {
  const { db, steps } = fleet;
  return readSteps(db, steps, { expedienteId, after, waitMs, signal: new AbortController().signal });
}

/** A transaction that changes something and records a step, and stays open until told. */
async function begin(event: string) {
  let end: (how: "commit" | "undo") => void = () => undefined;
  const told = new Promise<"commit" | "undo">((resolve) => {
    end = resolve;
  });
  let recorded: () => void = () => undefined;
  const hasRecorded = new Promise<void>((resolve) => {
    recorded = resolve;
  });
  const ended = fleet.db.transaction().execute(async (tx) => {
    await record(tx, event);
    recorded();
    if ((await told) === "undo") throw new Error("undone");
  });
  await hasRecorded;
  return {
    async commit() {
      end("commit");
      await ended;
    },
    async undo() {
      end("undo");
      await ended.catch(() => undefined);
    },
  };
}

async function record(tx: Transaction, event: string): Promise<void> {
  // A row of its own, as for steps of different services: nothing but the order of ids is common to the two.
  await tx
    .insertInto("timers")
    .values({ kind: `test.${event}`, subject_id: car.vehicleId, due_at: fleet.clock.now() })
    .execute();
  await recordSteps(tx, [
    {
      vehicleId: car.vehicleId,
      event,
      automation: null,
      actor: system,
      at: fleet.clock.now(),
    },
  ]);
}

test("a step that commits after a later one is not passed over: the later one waits for it", async () => {
  const slow = await begin("first");
  const quick = await begin("second");
  await quick.commit();
  expect(await read(0, 0), "the second is committed, and the first may yet be").toEqual([]);
  const waiting = read(0, 20_000);
  await slow.commit();
  const steps = await waiting;
  expect(steps.map(({ event }) => event)).toEqual(["first", "second"]);
  expect(steps[0]?.id).toBeLessThan(steps[1]?.id ?? 0);
});

test("a step whose transaction is undone holds nobody up", async () => {
  const last = (await read(0, 0)).at(-1)?.id ?? 0;
  const undone = await begin("never");
  const quick = await begin("third");
  await quick.commit();
  const waiting = read(last, 20_000);
  await undone.undo();
  expect((await waiting).map(({ event }) => event)).toEqual(["third"]);
});
