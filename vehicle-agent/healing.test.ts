import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseJson } from "@caas/contract/parse-json.ts";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSlotFiles } from "./change/slots.ts";
import { readConfig } from "./config.ts";
import { runAgent } from "./program.ts";
import { openDirectoryStorage } from "./storage/storage.ts";
import {
  type CarFile,
  carFiles,
  type Damage,
  damageCar,
  damages,
  mustBeEnrolledAgain,
} from "./testing/damage-car.ts";
import { startTestBroker, type TestBroker } from "./testing/test-broker.ts";
import { startTestEnrolment, type TestEnrolment } from "./testing/test-enrolment.ts";
import { createTestSigner, entry, testVin } from "./testing/test-signer.ts";

// A car whose files were damaged, each and several: it never ends in a start loop. It heals with the next version, or
// says that it must be enrolled again.

const signer = createTestSigner();
const entries = [entry("plataformaBase"), entry("asientosCalefactables")];
const config = readConfig({ LOG_LEVEL: "silent", CAAS_AGENT_HTTP_PORT: "0" });

let root: string;
let broker: TestBroker;
let enrolment: TestEnrolment;
let next = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-healing-"));
  broker = await startTestBroker();
  enrolment = await startTestEnrolment(testVin, signer, broker.url);
  await writeFile(join(root, "package.json"), JSON.stringify(enrolment.package));
  const car = run("template");
  await car.ready;
  await send(1);
  await reportOf(({ outcome }) => outcome?.version === 1);
  await car.stop();
});
afterAll(async () => {
  await broker.close();
  await enrolment.close();
  await rm(root, { recursive: true, force: true });
});

/** The agent on a folder. `ready` or `needsEnrolment` comes. */
function run(folder: string) {
  const stopping = new AbortController();
  const ready = Promise.withResolvers<"ready">();
  const needsEnrolment = Promise.withResolvers<string | null>();
  const ended = runAgent({
    config,
    dataDir: join(root, folder),
    packageFile: join(root, "package.json"),
    signal: stopping.signal,
    onReady: () => ready.resolve("ready"),
    onNeedsEnrolment: ({ page }) => needsEnrolment.resolve(page),
  });
  ended.catch((error: unknown) => ready.reject(error));
  return {
    ready: ready.promise,
    needsEnrolment: needsEnrolment.promise,
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}

async function send(version: number): Promise<void> {
  await broker.send(testVin, "keys", signer.keySet(1));
  await broker.send(
    testVin,
    "manifest",
    signer.manifest({ vin: testVin, proofKey: enrolment.proofKey() }, version, entries),
  );
}

function reportOf(isWanted: Parameters<TestBroker["nextReport"]>[2]) {
  return broker.nextReport(testVin, enrolment.proofKey(), isWanted, broker.messages.length);
}

async function damageAndBoot(damaged: ReadonlyMap<CarFile, Damage>): Promise<void> {
  next += 1;
  const folder = `car-${next}`;
  await cp(join(root, "template"), join(root, folder), { recursive: true, verbatimSymlinks: true });
  expect(await damageCar(join(root, folder), damaged)).toBe(true);
  const car = run(folder);
  const outcome = await Promise.race([car.ready, car.needsEnrolment]);
  if (mustBeEnrolledAgain(damaged)) {
    expect(outcome).toMatch(/^http/);
    const answer = await fetch(`${outcome}/health`);
    expect([answer.status, parseJson(await answer.text())]).toMatchObject([503, { needsEnrolment: true }]);
  } else {
    expect(outcome).toBe("ready");
    // As the platform does where a car holds less than it has applied: a version above.
    const healed = reportOf(({ outcome: applied }) => applied?.result === "applied" && applied.version === 2);
    await send(2);
    expect((await healed).active.version).toBe(2);
    const { slots } = await openDirectoryStorage(join(root, folder));
    const reading = readSlotFiles(await slots.read((await slots.active()) ?? "a"));
    expect(reading).toMatchObject({ kind: "intact", content: { version: 2 } });
  }
  await car.stop();
}

describe("a car whose files were damaged", () => {
  test.each(carFiles.flatMap((part) => damages.map((how) => ({ part, how }))))(
    "$part, $how: it heals with the next version, or says that it must be enrolled again [F2, F3]",
    ({ part, how }) => damageAndBoot(new Map([[part, how]])),
  );

  test("several at once: never a start loop [F2, F3]", async () => {
    const some = fc.uniqueArray(
      fc.record({ part: fc.constantFrom(...carFiles), how: fc.constantFrom(...damages) }),
      {
        selector: ({ part }) => part,
        minLength: 2,
      },
    );
    await fc.assert(
      fc.asyncProperty(some, (all) => damageAndBoot(new Map(all.map(({ part, how }) => [part, how])))),
      { numRuns: 25 },
    );
  });

  test("a damaged slot is reported as version 0, and what was set aside is kept [F2, F3]", async () => {
    await cp(join(root, "template"), join(root, "seen"), { recursive: true, verbatimSymlinks: true });
    const damaged = new Map([["entry", "empty"] as const, ["display/current.json", "garbage"] as const]);
    await damageCar(join(root, "seen"), damaged);
    const said = reportOf(({ active }) => active.version === 0);
    const car = run("seen");
    await car.ready;
    expect(await said).toMatchObject({ outcome: { result: "applied", version: 1 } });
    await car.stop();
    expect(await readFile(join(root, "seen", "display", "current.json.damaged-1"))).toBeDefined();
  });
});
