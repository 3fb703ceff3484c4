import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import * as z from "zod";

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
  faults: z.looseObject({ kills: z.record(z.string(), z.int()) }),
});

describe("a rehearsal in small", () => {
  test(
    "killed brokers, control planes and agents, lost and forged packets, days of sleep: charged exactly when proved [faults 1, 2, 3, 4, 8, 9]",
    async () => {
      const args = ["ota", "--vehicles", "40", "--activations", "80", "--seed", "11", "--json"];
      const { code, lines, complaints } = await run(args);
      expect(complaints).toEqual([]);
      const report = reportSchema.parse(JSON.parse(lines.at(-1) ?? ""));
      expect(report).toMatchObject({
        activations: 80,
        mismatches: 0,
        stuck: 0,
        moneyWithoutService: 0,
        serviceWithoutMoney: 0,
        doubleApplies: 0,
        staleApplied: 0,
        unsignedAccepted: 0,
        carsNotConverged: 0,
        staleManifests: 0,
        notRolledBack: 0,
      });
      expect(report.active + report.gaveUp + report.denied).toBe(80);
      const killed = new Set(Object.keys(report.faults.kills).map((name) => name.split("/")[0]));
      expect(killed).toEqual(new Set(["control-plane", "broker", "agents"]));
      expect(code).toBe(0);
    },
    patienceMs,
  );

  test("--help says what it does, and a wrong option is answered with a sentence", async () => {
    const help = await run(["ota", "--help"]);
    expect([help.code, help.lines.join("\n")]).toEqual([0, expect.stringContaining("gateway's own store")]);
    const wrong = await run(["ota", "--vehicles", "none"]);
    expect([wrong.code, wrong.complaints.join("\n")]).toEqual([
      2,
      expect.stringContaining("A whole number from 20 to 15000."),
    ]);
  });
});
