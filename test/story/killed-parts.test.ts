import { buyAService, cancelAnActivation, readAnActivation } from "@caas/contract/client/generated.ts";
import { openDatabase } from "@caas/control-plane/store/database.ts";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type BuiltCar, goodCard, type Telling } from "../../start/story/buy-the-car.ts";
import { browseCatalog, finalStates, type Offered } from "../../start/story/switch-a-service-on.ts";
import type { RunningChild } from "../../start/supervise.ts";
import { openStage, ownCar, readConfiguration, readGatewayBooks, type Stage } from "./stage.ts";

// kill -9 of real processes while a customer's purchases are on their way, on the platform as `npm start` runs it.

let stage: Stage;
let telling: Telling;
let bought: BuiltCar;
let database: ReturnType<typeof openDatabase>;

const running = new Map<string, RunningChild>();
const lines: string[] = [];
let onReady: (name: string) => void = () => undefined;
let failpoints = "";

/** Kills a part and resolves when its successor serves. */
async function kill(name: string, meanwhile: () => Promise<void> = async () => {}): Promise<void> {
  const child = running.get(name);
  if (child === undefined) throw new Error(`${name} does not run`);
  const isBack = backAgain(name);
  // It answers nobody from here on, and is started again only when what happens meanwhile is over.
  process.kill(child.pid, "SIGSTOP");
  await meanwhile();
  process.kill(child.pid, "SIGKILL");
  await isBack;
}

function backAgain(name: string): Promise<void> {
  return new Promise((resolve) => {
    onReady = (ready) => {
      if (ready === name) resolve();
    };
  });
}

beforeAll(async () => {
  stage = await openStage({
    revive: ({ name }) => name === "broker" || name === "control-plane",
    envFor: (name): Record<string, string> =>
      name === "control-plane" && failpoints !== "" ? { CAAS_FAILPOINTS: failpoints } : {},
    onReady(child) {
      running.set(child.name, child);
      onReady(child.name);
    },
    onLine: (_name, line) => void lines.push(line),
  });
  telling = await stage.tell();
  bought = await ownCar(telling, stage.clock);
  // It would end with the control plane; the database tells us as well.
  await bought.feed.stop();
  database = openDatabase(stage.platform.databaseUrl, 2, () => undefined);
}, 120_000);
afterAll(async () => {
  await database?.close();
  await stage?.stop();
});

async function select({ serviceId }: Offered): Promise<string> {
  const body = { serviceId, paymentMethod: goodCard };
  return (await buyAService(bought.vehicleId, body, bought.customer)).id;
}

/** The price is held and the car is not there to be reached: earlier there would be nothing to void. */
async function untilHeld(activationId: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const { state } = await database.db
        .selectFrom("activations")
        .select("state")
        .where("id", "=", activationId)
        .executeTakeFirstOrThrow();
      expect(["OTAQueue", "OTAAttempt"]).toContain(state);
    },
    { timeout: 20_000, interval: 20 },
  );
}

/** The state it ends in, and what the bank's own books say once nothing is held any more. */
async function endOf(activationId: string) {
  const state = await vi.waitFor(
    async () => {
      const row = await database.db
        .selectFrom("activations")
        .select("state")
        .where("id", "=", activationId)
        .executeTakeFirstOrThrow();
      expect(finalStates).toContain(row.state);
      return row.state;
    },
    { timeout: 20_000, interval: 50 },
  );
  const { payment } = await readAnActivation(activationId, bought.customer);
  const book = await vi.waitFor(
    async () => {
      const books = await readGatewayBooks(telling.cast);
      const found = books.filter(({ reference }) => reference === payment?.id);
      expect(found.every(({ heldCents }) => heldCents === 0)).toBe(true);
      expect(found).toHaveLength(1);
      return found[0];
    },
    { timeout: 20_000, interval: 50 },
  );
  return {
    state,
    intents: book?.intents,
    isCaptured: (book?.capturedCents ?? 0) > 0,
    refunded: book?.refundedCents,
  };
}

const active = { state: "ServiceActive", intents: 1, isCaptured: true, refunded: 0 };
const givenUp = { state: "NoCharge", intents: 1, isCaptured: false, refunded: 0 };

/** The versions that carried it, and how each ended. */
function readAttempts(activationId: string) {
  return database.db
    .selectFrom("attempts")
    .select(["attempt", "result"])
    .where("activation_id", "=", activationId)
    .orderBy("attempt")
    .execute();
}

test("the control plane is killed between commit and publish: after its restart the work goes on, and the car applies once [fault 2]", {
  timeout: 60_000,
}, async () => {
  const offered = await browseCatalog(telling, bought, "heatedSeats");
  // The first ring is the one at every start.
  failpoints = "version-committed-before-dispatch:2";
  await kill("control-plane");
  failpoints = "";
  const isBack = backAgain("control-plane");
  const activationId = await select(offered);
  await isBack;
  expect(lines).toContain("failpoint version-committed-before-dispatch:2");
  expect(await endOf(activationId)).toEqual(active);
  expect(await readAttempts(activationId)).toEqual([{ attempt: 1, result: "applied" }]);
  expect(Object.keys(readConfiguration(bought)).join()).toContain("heatedSeats");
});

test("the broker is killed while purchases are under way: each ends active and captured, or given up and voided, once [fault 1]", {
  timeout: 60_000,
}, async () => {
  const [first, second, third] = await Promise.all(
    ["highwayAssist", "sportMode", "ambientLight"].map((code) => browseCatalog(telling, bought, code)),
  );
  if (first === undefined || second === undefined || third === undefined) throw new Error("nothing to buy");
  const ids = [await select(first), await select(second)];
  let cancelled = "";
  await kill("broker", async () => {
    cancelled = await select(third);
    await untilHeld(cancelled);
    // While nobody can reach the car the customer changes their mind.
    await cancelAnActivation(cancelled, {}, bought.customer);
  });
  await kill("broker");
  for (const id of ids) expect(await endOf(id)).toEqual(active);
  expect(await endOf(cancelled)).toEqual(givenUp);
  const held = Object.values(readConfiguration(bought)).join();
  for (const code of ["highwayAssist", "sportMode"]) expect(held).toContain(code);
  expect(held).not.toContain("ambientLight");
});
