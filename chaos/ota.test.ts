import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { audit, nothingFound } from "./audit.ts";
import type { Evidence } from "./evidence.ts";
import { failedSeeds } from "./failed-seeds.ts";
import { type OtaOptions, planOta } from "./ota-plan.ts";
import { allRarePaths, planRarePaths } from "./rare-paths.ts";
import { tamperings } from "./tamper.ts";

const entry = fileURLToPath(new URL("./main.ts", import.meta.url));
/** A run takes a minute where nothing else does; the other tests take the machine meanwhile. */
const patienceMs = 300_000;

async function run(args: readonly string[], onLine: (line: string, pid: number) => void = () => undefined) {
  const child = spawn(process.execPath, [entry, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const lines: string[] = [];
  const complaints: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    onLine(line, child.pid ?? 0);
  });
  createInterface({ input: child.stderr }).on("line", (line) => complaints.push(line));
  const [code] = await once(child, "close");
  return { code: z.int().nullable().parse(code), lines, complaints };
}

const reportSchema = z.looseObject({
  activations: z.int(),
  active: z.int(),
  gaveUp: z.int(),
  denied: z.int(),
  withdrawn: z.int(),
  rare: z.record(z.string(), z.int()),
  faults: z.looseObject({ kills: z.record(z.string(), z.int()) }),
});

const sizeOf = ({ vehicles, activations, seed }: OtaOptions): string[] =>
  ["ota", "--vehicles", vehicles, "--activations", activations, "--seed", seed].map(String);

// They wait most of the time: for backoffs, for days that pass, for parts that start again.
describe.concurrent("a rehearsal in small", () => {
  test.for(failedSeeds)(
    "seed $seed, which once found $found: killed brokers, control planes and agents, lost and forged packets, damaged disks, a gateway that fails, days of sleep: charged exactly when proved [faults 1, 2, 3, 4, 8, 9, 24, 26]",
    { timeout: patienceMs },
    async (options, { expect }) => {
      const { activations } = options;
      const { code, lines, complaints } = await run([...sizeOf(options), "--json"]);
      expect(complaints).toEqual([]);
      const report = reportSchema.parse(JSON.parse(lines.at(-1) ?? ""));
      const { active, gaveUp, denied, withdrawn } = report;
      expect(report).toMatchObject({ ...nothingFound, activations, active, gaveUp, denied, withdrawn });
      expect(active + gaveUp + denied + withdrawn).toBe(activations);
      const killed = new Set(Object.keys(report.faults.kills).map((name) => name.split("/")[0]));
      expect(killed).toEqual(new Set(["control-plane", "broker", "agents"]));
      const taken = allRarePaths.filter((path) => (report.rare[path] ?? 0) > 0);
      expect(taken).toEqual(expect.arrayContaining(planRarePaths(planOta(options))));
      expect(code).toBe(0);
    },
  );

  test("a service that a car has lost makes the run fail, with a sentence and the command that repeats it", {
    timeout: patienceMs,
  }, async ({ expect }) => {
    const options = { vehicles: 20, activations: 20, seed: 1 };
    const { code, lines, complaints } = await run([...sizeOf(options), "--tamper", "lostService", "--json"]);
    const report = reportSchema.parse(JSON.parse(lines.at(-1) ?? ""));
    expect(report).toMatchObject({ moneyWithoutService: 1, carsNotConverged: 1 });
    expect(
      complaints.filter((line) => line.includes("is charged and the car does not hold it")),
    ).toHaveLength(1);
    expect(complaints.at(-1)).toBe(
      "The same schedule again: npm run chaos -- ota --vehicles 20 --activations 20 --seed 1",
    );
    expect(code).toBe(1);
  });

  test("--help says what it does, and a wrong option is answered with a sentence", async ({ expect }) => {
    const help = await run(["ota", "--help"]);
    expect([help.code, help.lines.join("\n")]).toEqual([0, expect.stringContaining("gateway's own store")]);
    const wrong = await run(["ota", "--vehicles", "none"]);
    expect([wrong.code, wrong.complaints.join("\n")]).toEqual([
      2,
      expect.stringContaining("A whole number from 20 to 15000."),
    ]);
  });
});

test.each(Object.entries(tamperings))("%s is noticed in a sound run", (_, tamper) => {
  const vin = "CAR-A";
  const held = { vin, hash: "one", wantedHash: "one", codes: ["lab1"], wantedCodes: ["lab1"] };
  const price = { capturedCents: 101, refundedCents: 0, disputedCents: 0, networkErrors: 0 };
  const sound: Evidence = {
    asked: [
      { vin, serviceCode: "lab1", priceCents: 101, activationId: "a", end: "active", withdrawnBecause: null },
    ],
    shown: [{ activationId: "a", vin, serviceCode: "lab1", state: "ServiceActive", withdrawnBecause: null }],
    intents: [{ id: "pi_a", activationId: "a", status: "succeeded", ...price }],
    cars: [held],
    commits: [{ vin, version: 1, result: "applied", slotVersion: 1 }],
    ...{ entitlements: [{ activationId: "a", state: "proved" }], tasks: [], forgedOffset: 1_000_000 },
    ...{ believed: [{ vin, version: 1, seq: 1 }], stuck: [], unbalanced: [] },
  };
  expect(audit(sound).offenders).toEqual([]);
  expect(audit(tamper(sound)).offenders).not.toEqual([]);
});
