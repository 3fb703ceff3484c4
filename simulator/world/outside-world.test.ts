import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
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
])("what cannot be meant is refused by its option: %o", (options, message) => {
  expect(() => provideOutsideWorld(options)).toThrow(message);
});

test("a mistake in a file of logins is named by line and field", async () => {
  const owners = join(folder, "owners.jsonl");
  writeFileSync(
    owners,
    `${JSON.stringify({ vin: "x", vehicleId: "y", username: "z", password: "p" })}\n{"vin": 3}\n`,
  );
  const provide = provideOutsideWorld({ broker: "mqtt://127.0.0.1:1", owners });
  const wanted = {
    vehicles: 1,
    seed: 1,
    tls: false,
    brokers: 1,
    timeScale: 1,
    withOwners: true,
    folder,
    signal: new AbortController().signal,
    say: () => undefined,
  };
  await expect(provide?.(wanted)).rejects.toThrow(/owners\.jsonl:2: vin: /);
});
