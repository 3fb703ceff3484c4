import { type Command, InvalidArgumentError } from "commander";
import { profiles } from "./behaviour/profile.ts";
import { addSeed, createProgram, positive, wholeNumber } from "./command/program.ts";
import { type Objective, parseObjective } from "./knee/objective.ts";
import { type KneeCommandOptions, runKnee } from "./run-knee.ts";
import { type CommandLineFrame, type ExitCode, type RunOnceOptions, runOnce } from "./run-once.ts";
import { listScenarios } from "./scenarios/read-scenario.ts";
import { durationSchema } from "./scenarios/scenario.ts";

const moreHelp = `
Without --broker it starts the whole platform, with cars that were sold already; both are removed afterwards.
Scenarios of its own: ${listScenarios().join(", ")}.
Profiles: ${Object.keys(profiles).join(", ")}.

The last line with --json -:
  {"vehicles":…,"connected":…,"drops":…,"activations":{"sent":…,"applied":…,"failed":…,"pending":…},
   "firstAttemptSuccess":…,"p50Ms":…,"p95Ms":…,"p99Ms":…,"kbPerCar":…,"connectsPerSecond":…}
Latency runs from when a change was meant to begin to the car's proof (for a purchase: until the customer sees it).
Exit code: 0 when everything asserted held, and on a normal profile every target; 1 when not; 2 for wrong use.`;

/** Reads the command line, does what it says and returns the exit code. */
export async function runCommandLine(argv: readonly string[], frame: CommandLineFrame): Promise<ExitCode> {
  let code: ExitCode = 0;
  const program = createProgram(
    frame.name,
    "Tens of thousands of real agents on one machine, with weather.",
  ).enablePositionalOptions();
  addCommonOptions(program)
    .option("--scenario <file>", "what happens: a file, or one of the scenarios below", "ordinary-day")
    .option("--ramp <duration>", "over how long cars come up, such as 30s", durationOption)
    .option("--duration <duration>", "how long the scenario is played", durationOption)
    .option("--html <file>", "keeps the report as one page with plots")
    .option("--compare <file>", "an earlier run's JSON to compare with")
    .option("--metrics-port <n>", "where /metrics is served while it runs; 0: any", wholeNumber(0, 65_535), 0)
    .addHelpText("after", moreHelp)
    .action(async (options: RunOnceOptions) => {
      code = await runOnce(options, frame, argv);
    });
  addCommonOptions(program.command("knee"))
    .description(
      "Raises the load until an objective breaks: the capacity of this machine, and what gave way.",
    )
    .option(
      "--slo <objective>",
      "p99=1s, p95=250ms or success=0.99",
      objectiveOption,
      objectiveOption("p99=1s"),
    )
    .option("--load <kind>", "bulk (changes of many cars) or purchases", loadOption, "bulk")
    .option("--from <n>", "the first load, a second", positive, 10)
    .option("--level <duration>", "how long each load lasts", durationOption, 8_000)
    .action(async (options: KneeCommandOptions) => {
      code = await runKnee(options, frame);
    });
  await program.parseAsync([...argv]);
  return code;
}

function addCommonOptions(command: Command): Command {
  command
    .option(
      "--vehicles <n>",
      "cars (default: the scenario's; knee: 5,000, or 1,000 for purchases)",
      wholeNumber(1, 1_000_000),
    )
    .option("--profile <name>", "what kinds of cars (default: the scenario's; knee: steady)");
  return addSeed(command, "decides all that is chance")
    .option("--processes <n>", "processes of cars, or auto", processesOption, "auto")
    .option("--tls", "cars connect by their certificates", false)
    .option(
      "--brokers <n>",
      "processes of the broker, over Redis (REDIS_URL, or one of its own), for a platform of our own",
      wholeNumber(1, 16),
      1,
    )
    .option("--json <file>", "keeps the report; - prints its numbers as the last line")
    .option("--broker <url>", "mqtt:// or mqtts://, instead of a platform of our own")
    .option("--rest <url>", "the platform's REST interface, for customers and sales")
    .option("--fleet <file>", "cars that are enrolled already: a fleet's file (…jsonl.gz)")
    .option("--packages <file>", "cars to enrol: the factory's packages, one JSON a line")
    .option("--owners <file>", "logins: {vin, vehicleId, username, password}, one JSON a line")
    .option("--staff <name>", "who sells; the password is in SIMULATE_STAFF_PASSWORD")
    .option("--factory <url>", "the factory stand-in's control entrance, for sales")
    .option("--inbox <url>", "the mailboxes' stand-in, for sales");
}

function durationOption(text: string): number {
  const parsed = durationSchema.safeParse(text);
  if (!parsed.success) throw new InvalidArgumentError("A duration such as 90s or 5m.");
  return parsed.data;
}

function processesOption(text: string): number | "auto" {
  return text === "auto" ? text : wholeNumber(1, 1_000)(text);
}

function objectiveOption(text: string): Objective {
  const objective = parseObjective(text);
  if (objective === undefined) throw new InvalidArgumentError("Such as p99=1s, p95=250ms or success=0.99.");
  return objective;
}

function loadOption(text: string): "bulk" | "purchases" {
  if (text === "bulk" || text === "purchases") return text;
  throw new InvalidArgumentError("Either bulk or purchases.");
}
