import { readFileSync } from "node:fs";
import { CannotSimulate } from "../cannot-simulate.ts";
import { wordsOf } from "../command/run.ts";
import { duration, percent } from "./print-report.ts";
import { type RunReport, runReportSchema } from "./run-report.ts";

export type ComparedRow = {
  name: string;
  before: string;
  now: string;
  /** `+12 %`; empty where one of the two was not measured. */
  change: string;
  tone: "better" | "worse" | "same";
};

export type Comparison = {
  /** What it is compared with, in words. */
  earlier: string;
  rows: ComparedRow[];
  /** Reasons for care when comparing the two, one sentence each. */
  cautions: string[];
};

/** On a machine with other load, smaller differences mean nothing. */
const noise = 0.2;

/** @throws CannotSimulate naming the file and the first field that is not a report's */
export function readEarlier(path: string): RunReport {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new CannotSimulate(`${path} cannot be compared with: ${wordsOf(error)}`);
  }
  const parsed = runReportSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CannotSimulate(
    `${path} is no report of a simulation: ${issue?.path.join(".") || "content"}: ${issue?.message}`,
  );
}

/** What became better and what worse, beyond what is noise. */
export function compare(earlier: RunReport, now: RunReport): Comparison {
  const rows: ComparedRow[] = [
    row(
      "first attempt",
      earlier.numbers.firstAttemptSuccess,
      now.numbers.firstAttemptSuccess,
      "more",
      percent,
      0.005,
    ),
    row("after retries", earlier.successAfterRetries, now.successAfterRetries, "more", percent, 0.005),
    row("p50", earlier.numbers.p50Ms, now.numbers.p50Ms, "less", duration),
    row("p95", earlier.numbers.p95Ms, now.numbers.p95Ms, "less", duration),
    row("p99", earlier.numbers.p99Ms, now.numbers.p99Ms, "less", duration),
    row("connects a second", earlier.numbers.connectsPerSecond, now.numbers.connectsPerSecond, "more"),
    row("KB a car", earlier.numbers.kbPerCar, now.numbers.kbPerCar, "less"),
    row("links lost", earlier.numbers.drops, now.numbers.drops, "less"),
    row("failed", earlier.numbers.activations.failed, now.numbers.activations.failed, "less"),
    row("pending", earlier.numbers.activations.pending, now.numbers.activations.pending, "less"),
  ];
  return {
    earlier: `${earlier.scenario.name} of ${earlier.startedAt.slice(0, 16).replace("T", " ")} UTC`,
    rows,
    cautions: [
      ...(earlier.scenario.name === now.scenario.name ? [] : ["the scenarios differ"]),
      ...(earlier.profile.name === now.profile.name ? [] : ["the profiles differ"]),
      ...(earlier.numbers.vehicles === now.numbers.vehicles ? [] : ["the fleets differ in size"]),
      ...(earlier.machine.processor === now.machine.processor && earlier.machine.cores === now.machine.cores
        ? []
        : ["the machines differ"]),
    ],
  };
}

export function printComparison({ earlier, rows, cautions }: Comparison): string[] {
  return [
    "",
    `Compared with ${earlier}${cautions.length === 0 ? "" : ` (with care: ${cautions.join(", ")})`}`,
    ...rows.map(
      ({ name, before, now, change, tone }) =>
        `  ${name.padEnd(18)} ${before.padStart(12)} → ${now.padStart(12)}  ${change}${tone === "same" ? "" : ` ${tone}`}`,
    ),
  ];
}

/** @param leastDifference counts as one, in the measure's own unit; without it a fifth does */
function row(
  name: string,
  before: number | null,
  now: number | null,
  good: "more" | "less",
  format: (value: number) => string = (value) => value.toLocaleString("en"),
  leastDifference?: number,
): ComparedRow {
  const words = (value: number | null) => (value === null ? "–" : format(value));
  if (before === null || now === null)
    return { name, before: words(before), now: words(now), change: "", tone: "same" };
  const difference = now - before;
  const isNoise =
    leastDifference === undefined
      ? Math.abs(difference) <= noise * Math.abs(before)
      : Math.abs(difference) < leastDifference;
  const change =
    difference === 0
      ? "same"
      : before === 0
        ? `+${format(difference)}`
        : `${difference > 0 ? "+" : "−"}${Math.round(Math.abs(difference / before) * 100)} %`;
  const tone = isNoise ? "same" : difference > 0 === (good === "more") ? "better" : "worse";
  return { name, before: words(before), now: words(now), change, tone };
}
