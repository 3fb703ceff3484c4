import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { complain, print, stopOnSignals, wordsOf } from "@caas/simulator/command/run.ts";
import { describeMachine } from "@caas/simulator/run/machine.ts";
import { SingleBar } from "cli-progress";

export type CommonOptions = { json: boolean; seed: number; results: string };

/** `null`: not measured, and `whyNull` says why. */
export type Figure = number | null | Readonly<Record<string, number | null>> | readonly object[];

/** What a benchmark found. `failures`: one sentence for each assertion that did not hold. */
export type Findings = {
  /** Printed as the last line with --json. */
  numbers: Readonly<Record<string, Figure>>;
  /** A sentence for each number that is null. */
  whyNull?: Readonly<Record<string, string>>;
  /** Kept in the results file as well: how it was measured. */
  conditions: Conditions;
  /** Kept in the results file alone: the counts and times that the numbers were computed from. */
  raw: object;
  failures: readonly string[];
};

export type Conditions = Readonly<Record<string, string | number>>;

/** What was not measured is said to be. */
export function sayUnmeasured(conditions: Readonly<Record<string, string | number | null>>): Conditions {
  return Object.fromEntries(
    Object.entries(conditions).map(([name, value]) => [name, value ?? "not measured"]),
  );
}

export type Progress = { advance(by?: number): void; end(): void };

/** What a benchmark is given. */
export type Frame = {
  /** ^C: come back soon with what there is. */
  signal: AbortSignal;
  say(line: string): void;
  /** A bar on a terminal, elsewhere a line at each quarter. */
  startProgress(what: string, total: number): Progress;
};

export const resultsFolder = fileURLToPath(new URL("./results/", import.meta.url));

/** Runs one benchmark, prints and keeps what it found. @returns the exit code */
export async function runBenchmark(
  name: string,
  options: CommonOptions,
  measure: (frame: Frame) => Promise<Findings>,
): Promise<0 | 1> {
  const signal = stopOnSignals();
  const startedAt = new Date();
  let findings: Findings;
  try {
    findings = await measure({ signal, say: print, startProgress });
  } catch (error) {
    const why = wordsOf(error);
    complain(`${name} could not be measured: ${why}`);
    if (options.json) print(JSON.stringify({ error: why }));
    return 1;
  }
  const wasCut = signal.aborted;
  const failures = wasCut ? [...findings.failures, "it was stopped before its end"] : findings.failures;
  for (const [key, value] of Object.entries(findings.numbers)) {
    // A table was printed row by row.
    if (Array.isArray(value)) continue;
    const isMissing = value === null || (typeof value === "object" && Object.values(value).includes(null));
    const why = isMissing ? `: ${findings.whyNull?.[key] ?? "it could not be measured"}` : "";
    print(`  ${key.padEnd(28)} ${typeof value === "object" ? JSON.stringify(value) : value}${why}`);
  }
  for (const [key, value] of Object.entries(findings.conditions)) print(`    ${key}: ${value}`);
  for (const failure of failures) complain(`Did not hold: ${failure}`);
  print(`Kept in ${keepResult(name, startedAt, options, { ...findings, failures })}`);
  if (options.json) print(JSON.stringify(findings.numbers));
  return failures.length === 0 ? 0 : 1;
}

function keepResult(name: string, startedAt: Date, options: CommonOptions, findings: Findings): string {
  mkdirSync(options.results, { recursive: true });
  const stamp = startedAt.toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
  const path = join(options.results, `${name}-${stamp}.json`);
  const record = {
    benchmark: name,
    startedAt: startedAt.toISOString(),
    machine: { ...describeMachine(), commit: readCommit() },
    // Where it was kept says nothing about what was measured, and would name a folder of this machine.
    options: { ...options, results: undefined },
    numbers: findings.numbers,
    ...(findings.whyNull === undefined ? {} : { whyNull: findings.whyNull }),
    conditions: findings.conditions,
    raw: findings.raw,
    failures: findings.failures.join("; "),
  };
  writeFileSync(path, `${JSON.stringify(record, null, 2)}\n`);
  return path;
}

function readCommit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    return "unknown";
  }
}

function startProgress(what: string, total: number): Progress {
  if (process.stdout.isTTY === true) {
    const bar = new SingleBar({ format: `${what} [{bar}] {value}/{total}`, hideCursor: true });
    bar.start(total, 0);
    return { advance: (by = 1) => bar.increment(by), end: () => bar.stop() };
  }
  let done = 0;
  const quarter = Math.max(1, Math.ceil(total / 4));
  return {
    advance(by = 1) {
      const quarters = Math.floor(done / quarter);
      done += by;
      if (Math.floor(done / quarter) > quarters || done === total) print(`${what}: ${done} of ${total}`);
    },
    end: () => undefined,
  };
}
