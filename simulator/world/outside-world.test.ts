import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CannotSimulate } from "../cannot-simulate.ts";
import { readFleetFile, writeFleetFile } from "../fleet/fleet-file.ts";
import { parseScenario } from "../scenarios/read-scenario.ts";
import { findProfile, simulate } from "../simulate.ts";
import { openSmallWorld } from "../testing/small-world.ts";
import { provideOutsideWorld } from "./outside-world.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "caas-outside-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const nobodyBuys = parseScenario(
  "describes: cars are connected\nvehicles: 4\nduration: 100ms\nsettle: 1s\nsteps: []",
  "x.yaml",
);

test("cars of a file connect to a broker by its address, and the file then holds what became of them", async () => {
  const small = await openSmallWorld(6);
  const fleet = join(folder, "fleet.jsonl.gz");
  try {
    await writeFleetFile(fleet, small.cars);
    const provideWorld = provideOutsideWorld({ broker: small.brokerUrl ?? "", fleet });
    if (provideWorld === null) throw new Error("a broker and a fleet are a world");
    const report = await simulate({
      scenario: { name: "x", content: nobodyBuys },
      profile: findProfile("steady"),
      seed: 1,
      processes: 1,
      tls: false,
      brokers: 1,
      provideWorld,
      folder,
      command: "",
      signal: new AbortController().signal,
      listener: {
        phase: () => undefined,
        said: () => undefined,
        sent: () => undefined,
        ended: () => undefined,
        attempted: () => undefined,
      },
      say: () => undefined,
    });
    expect(report.numbers).toMatchObject({ vehicles: 4, connected: 4 });
    const before = new Map(small.cars.map(({ vin, car }) => [vin, JSON.stringify(car)]));
    const after = await readFleetFile(fleet);
    expect(after).toHaveLength(6);
    expect(after.filter(({ vin, car }) => before.get(vin) !== JSON.stringify(car))).toHaveLength(4);
  } finally {
    await small.stop();
  }
});

test("without any address or file it is no world of others", () => {
  expect(provideOutsideWorld({})).toBeNull();
});

test.each([
  [{ broker: "http://x" }, "--broker must be"],
  [{ rest: "mqtt://x" }, "--rest must be"],
  [{ packages: "p.jsonl" }, "--packages needs --fleet"],
  [{ broker: "mqtt://127.0.0.1:1" }, "cars are missing"],
])("what cannot be meant is refused by its option: %o", (options, message) => {
  expect(() => provideOutsideWorld(options)).toThrow(message);
});

const wanted = () => ({
  vehicles: 1,
  seed: 1,
  tls: false,
  brokers: 1,
  timeScale: 1,
  withOwners: true,
  folder,
  signal: new AbortController().signal,
  say: () => undefined,
});
const broker = "mqtt://127.0.0.1:1";

test("a mistake in a file of logins is named by line and field", async () => {
  const small = await openSmallWorld(1);
  const fleet = join(folder, "fleet.jsonl.gz");
  const owners = join(folder, "owners.jsonl");
  try {
    await writeFleetFile(fleet, small.cars);
  } finally {
    await small.stop();
  }
  writeFileSync(
    owners,
    `${JSON.stringify({ vin: "x", vehicleId: "y", username: "z", password: "p" })}\n{"vin": 3}\n`,
  );
  const provide = provideOutsideWorld({ broker, fleet, owners });
  await expect(provide?.(wanted())).rejects.toThrow(/owners\.jsonl:2: vin: /);
});

test("files without a car, files that are none, and brokers of our own towards another's platform are refused", async () => {
  const fleet = join(folder, "fleet.jsonl.gz");
  const refusal = (options: object, more: object = {}) =>
    provideOutsideWorld({ broker, fleet, ...options })?.({ ...wanted(), ...more });
  await expect(refusal({})).rejects.toThrow(/there is no car in .*fleet\.jsonl\.gz/);
  await expect(refusal({ packages: join(folder, "none.jsonl") })).rejects.toThrow(/none\.jsonl/);
  await expect(refusal({}, { brokers: 2 })).rejects.toThrow("--brokers is for a platform of our own");
  writeFileSync(fleet, "no gzip");
  await expect(refusal({})).rejects.toThrow(CannotSimulate);
});
