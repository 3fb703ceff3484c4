import { accessSync, constants, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Profile } from "./behaviour/profile.ts";
import { CannotSimulate } from "./cannot-simulate.ts";
import { complain, print, stopOnSignals, withTemporaryFolder, wordsOf } from "./command/run.ts";
import { type Comparison, compare, printComparison, readEarlier } from "./report/compare.ts";
import { renderPage } from "./report/html-report.ts";
import { printReport } from "./report/print-report.ts";
import type { RunReport } from "./report/run-report.ts";
import type { ProvideWorld } from "./run/world.ts";
import { BadScenario, readScenario } from "./scenarios/read-scenario.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import { findProfile, simulate } from "./simulate.ts";
import { createRunMetrics, serveMetrics } from "./view/run-metrics.ts";
import { watchRun } from "./view/watch-run.ts";
import { type OutsideOptions, provideOutsideWorld } from "./world/outside-world.ts";

export type CommonOptions = OutsideOptions & {
  vehicles?: number;
  profile?: string;
  seed: number;
  processes: number | "auto";
  tls: boolean;
  brokers: number;
  json?: string;
};

export type RunOnceOptions = CommonOptions & {
  ramp?: number;
  scenario: string;
  duration?: number;
  html?: string;
  compare?: string;
  metricsPort: number;
};

export type CommandLineFrame = {
  /** As a person types it. */
  name: string;
  /** A platform of our own, where the caller can start one. */
  provideWorld: ProvideWorld | null;
};

export type ExitCode = 0 | 1 | 2;

/** Plays one scenario and tells what came of it. */
export function runOnce(
  options: RunOnceOptions,
  frame: CommandLineFrame,
  argv: readonly string[],
): Promise<ExitCode> {
  return inFolder(options, async (folder, signal) => {
    // Before anything is started: a file that cannot be read or written is said now, and not after the run.
    requireWritable("--html", options.html);
    const earlier = options.compare === undefined ? null : readEarlier(options.compare);
    const { name, scenario } = readScenario(options.scenario);
    const content = withOptions(scenario, options);
    const profile = chooseProfile(options.profile, content);
    const provideWorld = provideOutsideWorld(options) ?? requireOwn(frame);
    const metrics = createRunMetrics();
    const served = await serveMetrics(metrics, options.metricsPort);
    const watch = watchRun({
      write: (text) => void process.stdout.write(text),
      columns: process.stdout.isTTY === true ? () => process.stdout.columns : null,
    });
    watch.say(`Measures for Prometheus: ${served.url}`);
    try {
      const report = await simulate({
        scenario: { name, content },
        profile,
        seed: options.seed,
        processes: options.processes,
        tls: options.tls,
        brokers: options.brokers,
        provideWorld,
        folder,
        command: repeatOf(options, frame, argv),
        signal,
        say: watch.say,
        listener: {
          ...metrics,
          said: watch.said,
          phase(phase, run) {
            metrics.follow(run);
            watch.phase(phase, run);
          },
        },
      });
      watch.end();
      const comparison = earlier === null ? null : compare(earlier, report);
      const lines = [...printReport(report), ...(comparison === null ? [] : printComparison(comparison))];
      for (const line of lines) print(line);
      keep(report, comparison, options);
      if (options.json === "-") print(JSON.stringify(report.numbers));
      return report.verdict === "held" ? 0 : 1;
    } finally {
      watch.end();
      served.close();
    }
  });
}

/** The same again: where chance was left to its default, it is named. */
function repeatOf({ seed }: CommonOptions, { name }: CommandLineFrame, argv: readonly string[]): string {
  const given = argv.slice(2).map((word) => (/^[\w./:=,-]+$/.test(word) ? word : `'${word}'`));
  return [name, ...given, ...(given.some((word) => word.startsWith("--seed")) ? [] : ["--seed", seed])].join(
    " ",
  );
}

/** Does the work in a folder that is removed, and says in words why it could not be done. */
export async function inFolder(
  { json }: Pick<CommonOptions, "json">,
  work: (folder: string, signal: AbortSignal) => Promise<ExitCode>,
): Promise<ExitCode> {
  try {
    requireWritable("--json", json === "-" ? undefined : json);
    return await withTemporaryFolder("simulate", (folder) => work(folder, stopOnSignals()));
  } catch (error) {
    complain(wordsOf(error));
    if (json === "-") print(JSON.stringify({ error: wordsOf(error) }));
    return error instanceof BadScenario || error instanceof CannotSimulate ? 2 : 1;
  }
}

/** @throws CannotSimulate where no file of that name can be written */
function requireWritable(option: string, path: string | undefined): void {
  if (path === undefined) return;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) throw new CannotSimulate(`${option}: ${path} is a folder`);
  try {
    accessSync(found === undefined ? dirname(path) : path, constants.W_OK);
  } catch (error) {
    throw new CannotSimulate(`${option}: ${path} cannot be written: ${wordsOf(error)}`);
  }
}

function withOptions(scenario: Scenario, { vehicles, ramp, duration }: RunOnceOptions): Scenario {
  return {
    ...scenario,
    ...(vehicles === undefined ? {} : { vehicles }),
    ...(ramp === undefined ? {} : { ramp }),
    ...(duration === undefined ? {} : { duration }),
  };
}

function chooseProfile(asked: string | undefined, { profile }: Scenario): { name: string; content: Profile } {
  if (asked !== undefined) return findProfile(asked);
  return typeof profile === "string"
    ? findProfile(profile)
    : { name: "the scenario's own", content: profile };
}

export function requireOwn({ provideWorld }: CommandLineFrame): ProvideWorld {
  if (provideWorld !== null) return provideWorld;
  throw new CannotSimulate("name a broker with --broker, and cars with --fleet or --packages");
}

function keep(report: RunReport, comparison: Comparison | null, { json, html }: RunOnceOptions): void {
  if (json !== undefined && json !== "-") writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
  if (html !== undefined) writeFileSync(html, renderPage(report, comparison));
}
