import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { type Profile, profiles } from "./behaviour/profile.ts";
import { printReport } from "./report/print-report.ts";
import type { RunReport } from "./report/run-report.ts";
import type { ProvideWorld } from "./run/world.ts";
import { BadScenario, listScenarios, readScenario } from "./scenarios/read-scenario.ts";
import { durationSchema, type Scenario } from "./scenarios/scenario.ts";
import { CannotSimulate, findProfile, simulate } from "./simulate.ts";
import { watchRun } from "./view/watch-run.ts";
import { type OutsideOptions, provideOutsideWorld } from "./world/outside-world.ts";

const moreHelp = `
Without --broker it starts the whole platform, with cars that were sold already; both are removed afterwards.
Scenarios of its own: ${listScenarios().join(", ")}.
Profiles: ${Object.keys(profiles).join(", ")}.

The last line with --json -:
  {"vehicles":…,"connected":…,"drops":…,"activations":{"sent":…,"applied":…,"failed":…,"pending":…},
   "firstAttemptSuccess":…,"p50Ms":…,"p95Ms":…,"p99Ms":…,"kbPerCar":…,"connectsPerSecond":…}
Latency runs from when a change was meant to begin to the car's proof (for a purchase: until the customer sees it).
Exit code: 0 when everything asserted held, and on a normal profile every target; 1 when not; 2 for wrong use.`;

type Options = OutsideOptions & {
  vehicles?: number;
  ramp?: number;
  profile?: string;
  scenario: string;
  duration?: number;
  seed: number;
  processes: number | "auto";
  tls: boolean;
  json?: string;
  html?: string;
  compare?: string;
};

export type CommandLineFrame = {
  /** As a person types it. */
  name: string;
  /** A platform of our own, where whoever runs this can start one. */
  provideWorld: ProvideWorld | null;
};

/** Reads the command line, does what it says and returns the exit code. */
export async function runCommandLine(argv: readonly string[], frame: CommandLineFrame): Promise<0 | 1 | 2> {
  let code: 0 | 1 | 2 = 0;
  const program = new Command(frame.name)
    .description("Tens of thousands of real agents on one machine, with weather.")
    .option("--scenario <file>", "what happens: a file, or one of the scenarios below", "ordinary-day")
    .option("--vehicles <n>", "cars (default: the scenario's)", wholeNumber(1, 1_000_000))
    .option("--profile <name>", "what kinds of cars (default: the scenario's)")
    .option("--ramp <duration>", "over how long they come up, such as 30s", durationOption)
    .option("--duration <duration>", "how long the scenario is played", durationOption)
    .option("--seed <n>", "decides all that is chance", wholeNumber(0, 2 ** 31 - 1), 1)
    .option("--processes <n>", "processes of cars, or auto", processesOption, "auto")
    .option("--tls", "cars connect by their certificates", false)
    .option("--json <file>", "keeps the report; - prints its numbers as the last line")
    .option("--html <file>", "keeps the report as one page with plots")
    .option("--compare <file>", "an earlier run's JSON to compare with")
    .option("--broker <url>", "mqtt:// or mqtts://, instead of a platform of our own")
    .option("--rest <url>", "the platform's REST interface, for customers and enrolment")
    .option("--fleet <file>", "cars that are enrolled already: a fleet's file (…jsonl.gz)")
    .option("--packages <file>", "cars to enrol: the factory's packages, one JSON a line")
    .option("--owners <file>", "logins: {vin, vehicleId, username, password}, one JSON a line")
    .option("--staff <name>", "who sells; the password is in SIMULATE_STAFF_PASSWORD")
    .option("--factory <url>", "the factory stand-in's control entrance, for sales")
    .option("--inbox <url>", "the mailboxes' stand-in, for sales")
    .addHelpText("after", moreHelp)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .showHelpAfterError()
    .action(async (options: Options) => {
      code = await runOnce(options, frame, argv);
    });
  await program.parseAsync([...argv]);
  return code;
}

function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < least || number > most)
      throw new InvalidArgumentError(`A whole number from ${least} to ${most}.`);
    return number;
  };
}

function durationOption(text: string): number {
  const parsed = durationSchema.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError("A duration such as 90s or 5m.");
  return parsed.data;
}

function processesOption(text: string): number | "auto" {
  return text === "auto" ? text : wholeNumber(1, 1_000)(text);
}

async function runOnce(
  options: Options,
  frame: CommandLineFrame,
  argv: readonly string[],
): Promise<0 | 1 | 2> {
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const folder = mkdtempSync(join(tmpdir(), "caas-simulate-"));
  chmodSync(folder, 0o711); // the database's user passes through it
  const stopping = stopOnSignals();
  const watch = watchRun({
    write: (text) => void process.stdout.write(text),
    columns: process.stdout.isTTY === true ? () => process.stdout.columns : null,
  });
  try {
    const { name, scenario } = readScenario(options.scenario);
    const content = withOptions(scenario, options);
    const report = await simulate({
      scenario: { name, content },
      profile: chooseProfile(options.profile, content),
      seed: options.seed,
      processes: options.processes,
      tls: options.tls,
      provideWorld: provideOutsideWorld(options) ?? requireOwn(frame),
      folder,
      command: [
        frame.name,
        ...argv.slice(2),
        ...(argv.includes("--seed") ? [] : ["--seed", options.seed]),
      ].join(" "),
      signal: stopping,
      say: watch.say,
      listener: {
        ...watch,
        sent: () => undefined,
        ended: () => undefined,
        attempted: () => undefined,
      },
    });
    watch.end();
    for (const line of printReport(report)) say(line);
    keep(report, options);
    if (options.json === "-") say(JSON.stringify(report.numbers));
    return report.verdict === "held" ? 0 : 1;
  } catch (error) {
    watch.end();
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${why}\n`);
    if (options.json === "-") say(JSON.stringify({ error: why }));
    return error instanceof BadScenario || error instanceof CannotSimulate ? 2 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function withOptions(scenario: Scenario, { vehicles, ramp, duration }: Options): Scenario {
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

function requireOwn({ provideWorld }: CommandLineFrame): ProvideWorld {
  if (provideWorld !== null) return provideWorld;
  throw new CannotSimulate("name a broker with --broker, and cars with --fleet or --packages");
}

function keep(report: RunReport, { json }: Options): void {
  if (json !== undefined && json !== "-") writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
}

/** The first ^C ends the run early with a report, the third at once. */
function stopOnSignals(): AbortSignal {
  const stopping = new AbortController();
  let asked = 0;
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      asked += 1;
      stopping.abort();
      if (asked === 3) process.exit(1);
    });
  return stopping.signal;
}
