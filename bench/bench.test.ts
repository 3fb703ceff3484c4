import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { runBenchmark } from "./frame.ts";

const entry = fileURLToPath(new URL("./main.ts", import.meta.url));

const brokerRows = z.object({
  rows: z.array(
    z.object({
      load: z.string(),
      ours: z.number().nullable(),
      aedes: z.number().nullable(),
      mosquitto: z.number().nullable(),
      oursToAedes: z.unknown().optional(),
    }),
  ),
});

let results: string;

beforeEach(() => {
  results = mkdtempSync(join(tmpdir(), "caas-results-"));
});

afterEach(() => rmSync(results, { recursive: true, force: true }));

function bench(...args: string[]): Promise<{ code: number; lines: string[]; errors: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [entry, ...args], (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, lines: stdout.trim().split("\n"), errors: stderr });
    });
  });
}

const small = ["activation", "--cars", "2", "--samples", "4", "--rate", "4", "--burst", "1", "--json"];

test("the activation benchmark prints its three numbers last and keeps them with date and machine", {
  timeout: 120_000,
}, async () => {
  const { code, lines, errors } = await bench(...small, "--max-p99", "60000", "--results", results);
  expect(errors).toBe("");
  expect(code).toBe(0);
  const numbers: unknown = JSON.parse(lines.at(-1) ?? "");
  expect(numbers).toEqual({
    activationsPerSecond: expect.any(Number),
    p50Ms: expect.any(Number),
    p99Ms: expect.any(Number),
  });
  const [file] = readdirSync(results);
  const kept: unknown = JSON.parse(readFileSync(join(results, file ?? ""), "utf8"));
  expect(kept).toMatchObject({
    numbers,
    conditions: { cars: 2, latencySamples: 4 },
    machine: { cores: expect.any(Number) },
    failures: "",
  });
});

test("paid activations are counted by what the gateway captured, with their statements and each part's processor time", {
  timeout: 180_000,
}, async () => {
  const { code, lines, errors } = await bench(
    ...["paid", "--cars", "8", "--purchases", "12", "--under-way", "4", "--json", "--results", results],
  );
  expect(errors).toBe("");
  expect(code).toBe(0);
  expect(JSON.parse(lines.at(-1) ?? "")).toEqual({
    paidActivationsPerSecond: expect.any(Number),
    halfLoadP50Ms: expect.any(Number),
    halfLoadP99Ms: expect.any(Number),
    generatorCpuShare: expect.any(Number),
  });
  const [file] = readdirSync(results);
  const kept: unknown = JSON.parse(readFileSync(join(results, file ?? ""), "utf8"));
  expect(kept).toMatchObject({
    conditions: { purchases: 12, statementsAnActivation: expect.any(Number) },
    failures: "",
  });
});

test("the brokers are compared row by row, each with the processor time it took", {
  timeout: 180_000,
}, async () => {
  const { code, lines, errors } = await bench(
    ...["broker", "--pairs", "2", "--seconds", "0.1", "--clients", "10", "--many", "20"],
    ...["--connects", "5", "--connections", "20", "--json", "--results", results],
  );
  expect(errors).toBe("");
  expect(code).toBe(0);
  const { rows } = brokerRows.parse(JSON.parse(lines.at(-1) ?? ""));
  const loads = rows.map(({ load }) => load);
  for (const load of ["fan-in", "fan-out"])
    for (const qos of [0, 1]) expect(loads).toContain(`${load}, QoS ${qos}, 10 clients`);
  for (const clients of [10, 20])
    for (const qos of [0, 1]) expect(loads).toContain(`round trip, QoS ${qos}, ${clients} clients`);
  for (const way of ["plain", "TLS", "mTLS"]) expect(loads).toContain(`connect, ${way}`);
  for (const way of ["plain", "mTLS"]) expect(loads).toContain(`memory a connection, ${way}, 10 to 20`);
  const [message] = rows;
  expect(message?.ours).toBeGreaterThan(0);
  expect(message?.aedes).toBeGreaterThan(0);
  expect(message?.oursToAedes).toMatchObject({ pairs: 2 });
});

test.each([
  { failures: [], code: 0 },
  { failures: ["p99 is 300 ms, above 250 ms"], code: 1 },
])("what is asserted decides the exit code: $failures", async ({ failures, code }) => {
  const findings = { numbers: { p99Ms: 300 }, conditions: {}, raw: {}, failures };
  const options = { json: false, seed: 1, results };
  expect(await runBenchmark("sample", options, async () => findings)).toBe(code);
  expect(readdirSync(results)).toHaveLength(1);
});

test.each([
  { args: ["activation", "--cars", "0"], says: "A whole number from 1 to 200." },
  { args: ["activation", "--rate", "-2"], says: "A number above 0." },
  { args: ["ota", "--cars", "3"], says: "A whole number from 4 to 19000." },
  { args: ["nothing"], says: "unknown command 'nothing'" },
])("$args is wrong use", async ({ args, says }) => {
  const { code, errors } = await bench(...args);
  expect(code).toBe(2);
  expect(errors).toContain(says);
});
