import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SingleBar } from "cli-progress";
import { describeMachine } from "./machine.ts";

export type CommonOptions = { json: boolean; seed: number; results: string };

/** `null`: not measured, and `whyNull` says why. */
export type Figure = number | null | Readonly<Record<string, number | null>> | readonly object[];

/** What a benchmark found. `failures`: what was asserted and did not hold, a sentence each. */
export type Findings = {
  /** Printed as the last line with --json. */
  numbers: Readonly<Record<string, Figure>>;
  /** A sentence for each number that is null. */
  whyNull?: Readonly<Record<string, string>>;
  /** Kept in the results file as well: how it was measured. */
  conditions: Readonly<Record<string, string | number>>;
  failures: readonly string[];
};

export type Progress = { advance(): void; end(): void };

/** What a benchmark is given. */
export type Frame = {
  /** ^C: come back soon with what there is. */
  signal: AbortSignal;
  say(line: string): void;
  /** A bar on a terminal, a line every quarter elsewhere. */
  startProgress(what: string, total: number): Progress;
};

export const resultsFolder = fileURLToPath(new URL("./results/", import.meta.url));

/** Runs one benchmark, prints and keeps what it found. @returns the exit code */
export async function runBenchmark(
  name: string,
  options: CommonOptions,
  measure: (frame: Frame) => Promise<Findings>,
): Promise<0 | 1> {
  const stopping = new AbortController();
  let asked = 0;
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      asked += 1;
      stopping.abort();
      if (asked === 3) process.exit(1);
    });
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const startedAt = new Date();
  let findings: Findings;
  try {
    findings = await measure({ signal: stopping.signal, say, startProgress: createProgress(say) });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${name} could not be measured: ${why}\n`);
    if (options.json) say(JSON.stringify({ error: why }));
    return 1;
  }
  const wasCut = stopping.signal.aborted;
  const failures = wasCut ? [...findings.failures, "it was stopped before its end"] : findings.failures;
  for (const [key, value] of Object.entries(findings.numbers)) {
    // A table was said row by row.
    if (Array.isArray(value)) continue;
    const isMissing = value === null || (typeof value === "object" && Object.values(value).includes(null));
    const why = isMissing ? `: ${findings.whyNull?.[key] ?? "it could not be measured"}` : "";
    say(`  ${key.padEnd(28)} ${typeof value === "object" ? JSON.stringify(value) : value}${why}`);
  }
  for (const [key, value] of Object.entries(findings.conditions)) say(`    ${key}: ${value}`);
  for (const failure of failures) process.stderr.write(`Did not hold: ${failure}\n`);
  say(`Kept in ${keepResult(name, startedAt, options, { ...findings, failures })}`);
  if (options.json) say(JSON.stringify(findings.numbers));
  return failures.length === 0 ? 0 : 1;
}

function keepResult(name: string, startedAt: Date, options: CommonOptions, findings: Findings): string {
  mkdirSync(options.results, { recursive: true });
  const stamp = startedAt.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
  const path = join(options.results, `${name}-${stamp}.json`);
  const record = {
    benchmark: name,
    startedAt: startedAt.toISOString(),
    machine: describeMachine(),
    // Where it was kept says nothing about what was measured, and would name a folder of this machine.
    options: { ...options, results: undefined },
    numbers: findings.numbers,
    ...(findings.whyNull === undefined ? {} : { whyNull: findings.whyNull }),
    conditions: findings.conditions,
    failures: findings.failures.join("; "),
  };
  writeFileSync(path, `${JSON.stringify(record, null, 2)}\n`);
  return path;
}

function createProgress(say: (line: string) => void): Frame["startProgress"] {
  return (what, total) => {
    if (process.stdout.isTTY === true) {
      const bar = new SingleBar({ format: `${what} [{bar}] {value}/{total}`, hideCursor: true });
      bar.start(total, 0);
      return { advance: () => bar.increment(), end: () => bar.stop() };
    }
    let done = 0;
    const quarter = Math.max(1, Math.ceil(total / 4));
    return {
      advance() {
        done += 1;
        if (done % quarter === 0 || done === total) say(`${what}: ${done} of ${total}`);
      },
      end: () => undefined,
    };
  };
}
