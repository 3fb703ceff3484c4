import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeLatencies } from "@caas/simulator/measure/latencies.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { runBenchmark } from "./frame.ts";

const entry = fileURLToPath(new URL("./main.ts", import.meta.url));

const rowsSchema = z.array(
  z.object({
    load: z.string(),
    ours: z.number().nullable(),
    aedes: z.number().nullable(),
    mosquitto: z.number().nullable(),
    cpuUs: z.record(z.string(), z.number().nullable()).optional(),
    oursToAedes: z.unknown().optional(),
  }),
);
/** A file of bench/results. */
const keptSchema = z.object({
  numbers: z.record(z.string(), z.unknown()),
  conditions: z.record(z.string(), z.union([z.string(), z.number()])),
  machine: z.object({ cores: z.int().min(1) }),
  raw: z.unknown(),
  failures: z.literal(""),
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

/** Runs a small benchmark to its good end. `wallMs`: how long that took in all. */
async function measure(...args: string[]) {
  const beganMs = performance.now();
  const { code, lines, errors } = await bench(...args, "--json", "--results", results);
  const wallMs = performance.now() - beganMs;
  expect(errors).toBe("");
  expect(code).toBe(0);
  const [file] = readdirSync(results);
  const kept = keptSchema.parse(JSON.parse(readFileSync(join(results, file ?? ""), "utf8")));
  expect(JSON.parse(lines.at(-1) ?? "")).toEqual(kept.numbers);
  return { ...kept, wallMs };
}

/** The percentiles that are told are those of the histogram that was kept; nothing took no time. */
function expectLatencies(encoded: string, told: { count: number; p50Ms: unknown; p99Ms: unknown }): void {
  const latencies = decodeLatencies(encoded);
  expect(latencies.count).toBe(told.count);
  const [p50Ms, p99Ms] = [Number(told.p50Ms), Number(told.p99Ms)];
  expect(p50Ms).toBeGreaterThan(0);
  expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  // Three significant digits, told to a tenth.
  for (const [percentile, ms] of [
    [50, p50Ms],
    [99, p99Ms],
  ] as const)
    expect(Math.abs(latencies.percentileMs(percentile) - ms)).toBeLessThan(0.1 + ms / 500);
}

test("the activation benchmark prints three numbers that its raw counts and times give", {
  timeout: 120_000,
}, async () => {
  const { numbers, conditions, raw, wallMs } = await measure(
    ...["activation", "--cars", "2", "--samples", "4", "--rate", "4", "--burst", "1", "--max-p99", "60000"],
  );
  const { burst, burstMs, latencies, burstLatencies } = z
    .object({ burst: z.int(), burstMs: z.number(), latencies: z.string(), burstLatencies: z.string() })
    .parse(raw);
  expect(Object.keys(numbers)).toEqual(["activationsPerSecond", "p50Ms", "p99Ms"]);
  expect(burst).toBe(2);
  expect(burstMs).toBeLessThan(wallMs);
  expect(numbers.activationsPerSecond).toBe(Math.round((burst / burstMs) * 10_000) / 10);
  expectLatencies(latencies, { count: 4, p50Ms: numbers.p50Ms, p99Ms: numbers.p99Ms });
  // In the burst both cars had one change each under way, so none can have taken longer.
  expect(decodeLatencies(burstLatencies).percentileMs(100)).toBeLessThan(burstMs);
  expect(conditions).toMatchObject({ cars: 2, latencySamples: 4, burstActivations: 2 });
});

const phaseSchema = z.object({
  ...{ sent: z.int(), capturedAtGateway: z.int(), lastCaptureMs: z.number(), mailOutMs: z.number() },
  ...{ statements: z.number(), commits: z.number(), latencies: z.string() },
  microseconds: z.record(z.string(), z.number()),
});

test("paid activations are counted by what the gateway's own books show captured, with their statements and each part's processor time", {
  timeout: 180_000,
}, async () => {
  const { numbers, conditions, raw, wallMs } = await measure(
    ...["paid", "--cars", "8", "--purchases", "12", "--under-way", "4"],
  );
  const { fast, half } = z.object({ fast: phaseSchema, half: phaseSchema }).parse(raw);
  expect([fast.sent, fast.capturedAtGateway, conditions.purchases]).toEqual([12, 12, 12]);
  expect(half.capturedAtGateway).toBe(half.sent);
  expect(fast.lastCaptureMs + half.lastCaptureMs).toBeLessThan(wallMs);
  expect(fast.mailOutMs).toBeGreaterThan(fast.lastCaptureMs);
  expect(numbers.paidActivationsPerSecond).toBe(Math.round((12 / fast.lastCaptureMs) * 10_000) / 10);
  expect(conditions.statementsAnActivation).toBe(Math.round((fast.statements / 12) * 10) / 10);
  // A purchase by itself, in a transaction or two, is more than ten and less than a thousand.
  expect(fast.statements / 12).toBeGreaterThan(10);
  expect(fast.statements / 12).toBeLessThan(1_000);
  expectLatencies(half.latencies, {
    ...{ count: half.sent, p50Ms: numbers.halfLoadP50Ms, p99Ms: numbers.halfLoadP99Ms },
  });
  const usedUs = Object.values(fast.microseconds).reduce((sum, us) => sum + us, 0);
  if (process.platform === "linux") expect(usedUs).toBeGreaterThan(0);
  expect(usedUs / 1_000).toBeLessThan(wallMs * availableParallelism());
});

test("a roll-out's figures come from its raw counts and times, and so does the raw round trip beside it", {
  timeout: 180_000,
}, async () => {
  const { numbers, conditions, raw, wallMs } = await measure(
    ...["ota", "--cars", "8", "--changes", "16", "--wave", "2", "--raw-seconds", "0.1"],
    ...["--purchases", "0", "--filled", "0"],
  );
  const { rollOut, roundTrips } = z
    .object({
      rollOut: z.object({
        changes: z.int(),
        ms: z.number(),
        halfChanges: z.int(),
        halfLatencies: z.string(),
      }),
      roundTrips: z.object({
        ours: z.object({ qos0: z.array(z.object({ roundTrips: z.int(), seconds: z.number() })) }),
      }),
    })
    .parse(raw);
  expect([rollOut.changes, rollOut.halfChanges, conditions.changes]).toEqual([16, 16, 16]);
  expect(rollOut.ms).toBeLessThan(wallMs);
  expect(numbers.rolloutCarsPerSecond).toBe(Math.round((16 / rollOut.ms) * 1_000));
  expectLatencies(rollOut.halfLatencies, {
    ...{ count: 16, p50Ms: conditions.halfLoadP50Ms, p99Ms: numbers.halfLoadP99Ms },
  });
  const turns = roundTrips.ours.qos0;
  expect(turns).toHaveLength(2);
  const median = turns.reduce((sum, turn) => sum + turn.roundTrips / turn.seconds, 0) / 2;
  expect(conditions.ownRoundTripsPerSecond).toBe(Math.round(median));
  expect(conditions.ownRoundTripsPerSecond).toBeGreaterThan(0);
});

test("an agent's memory is what its process held, and it took changes meanwhile", {
  timeout: 120_000,
}, async () => {
  const { numbers, raw } = await measure(
    ...[
      "agent",
      "--minutes",
      "0.05",
      "--every",
      "0.5",
      "--cut",
      "0",
      "--form",
      "source",
      "--max-rss",
      "1000",
    ],
  );
  const { ended } = z.object({ ended: z.object({ rss: z.int() }) }).parse(raw);
  expect(numbers.changes).toBeGreaterThan(0);
  expect(numbers.rssMbAtEnd).toBe(Math.round(ended.rss / 100_000) / 10);
  // A process of Node holds more than 20 MB and less than 1 GB.
  expect(numbers.rssMbAtEnd).toBeGreaterThan(20);
  expect(numbers.rssMbAtEnd).toBeLessThan(1_000);
});

test("the brokers are compared row by row, each with the processor time it took", {
  timeout: 180_000,
}, async () => {
  const { numbers, raw, wallMs } = await measure(
    ...["broker", "--pairs", "2", "--seconds", "0.1", "--clients", "10", "--many", "20"],
    ...["--connects", "5", "--connections", "20"],
  );
  const rows = rowsSchema.parse(numbers.rows);
  const loads = rows.map(({ load }) => load);
  for (const load of ["fan-in", "fan-out"])
    for (const qos of [0, 1]) expect(loads).toContain(`${load}, QoS ${qos}, 10 clients`);
  for (const clients of [10, 20])
    for (const qos of [0, 1]) expect(loads).toContain(`round trip, QoS ${qos}, ${clients} clients`);
  for (const way of ["plain", "TLS", "mTLS"]) expect(loads).toContain(`connect, ${way}`);
  for (const way of ["plain", "mTLS"]) expect(loads).toContain(`memory a connection, ${way}, 10 to 20`);
  const [message] = rows;
  expect(message?.aedes).toBeGreaterThan(0);
  expect(message?.oursToAedes).toMatchObject({ pairs: 2 });
  const turn = z.object({ messages: z.int(), seconds: z.number(), p50Ms: z.number(), p99Ms: z.number() });
  const samples = z
    .array(z.object({ load: z.string(), samples: z.record(z.string(), z.unknown()) }))
    .parse(raw);
  expect(samples.map(({ load }) => load)).toEqual(loads);
  const turns = z.array(turn).parse(samples[0]?.samples.ours);
  expect(message?.ours).toBe(
    Math.round(turns.reduce((sum, { messages, seconds }) => sum + messages / seconds, 0) / turns.length),
  );
  // One after the other: together they took less than the whole run.
  const allTurns = samples
    .filter(({ load }) => /^(fan|round)/.test(load))
    .flatMap((row) => Object.values(row.samples).flatMap((one) => z.array(turn).parse(one)));
  expect(allTurns.reduce((sum, { seconds }) => sum + seconds, 0) * 1_000).toBeLessThan(wallMs);
  for (const { seconds, p50Ms, p99Ms } of allTurns) {
    expect(seconds).toBeGreaterThan(0.09);
    // Through another process and back: no 10 µs.
    expect(p50Ms).toBeGreaterThan(0.01);
    expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  }
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
