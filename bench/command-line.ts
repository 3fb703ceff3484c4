import { Command, InvalidArgumentError } from "commander";
import { type ActivationOptions, measureActivations } from "./activation.ts";
import { type CommonOptions, resultsFolder, runBenchmark } from "./frame.ts";

const moreHelp = `
Each benchmark starts what it needs on free ports in a temporary folder, and removes it. Numbers, date and machine
are kept in bench/results/ (or --results). ^C ends a run early and prints what it has.
Exit code: 0 when everything asserted held, 1 when not, 2 for wrong use.`;

function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < least || number > most)
      throw new InvalidArgumentError(`A whole number from ${least} to ${most}.`);
    return number;
  };
}

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isFinite(number) || number <= 0) throw new InvalidArgumentError("A number above 0.");
  return number;
}

/** Reads the command line, runs the benchmark it names and returns the exit code. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command("npm run bench --")
    .description("Measures the platform.")
    .addHelpText("after", moreHelp)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .showHelpAfterError();
  program
    .command("activation")
    .description(
      "How long a paid service takes to be switched on: from the hold's authorisation, committed, to the car's signed report, committed.",
    )
    .option("--cars <n>", "cars, all in one process", wholeNumber(1, 200), 25)
    .option("--rate <n>", "activations a second while latency is measured (open loop)", positive, 2)
    .option("--samples <n>", "activations measured for latency", wholeNumber(1, 5_000), 120)
    .option(
      "--burst <n>",
      "activations a car in the burst that measures the rate (closed loop)",
      wholeNumber(1, 40),
      4,
    )
    .option("--max-p99 <ms>", "fails when the 99th percentile is above", positive, 250)
    .option("--seed <n>", "decides the arrivals' chance", wholeNumber(0, 2 ** 31 - 1), 1)
    .option("--results <dir>", "where numbers, date and machine are kept", resultsFolder)
    .option("--json", "the last line is one JSON object", false)
    .addHelpText(
      "after",
      `
Prints {"activationsPerSecond":…,"p50Ms":…,"p99Ms":…}: the rate from the burst (every car buys one service after
the other as fast as each is proved), the percentiles from arrivals at --rate that do not wait for each other.
Asserted: every activation ends in ServiceActive at its first attempt, and p99 <= --max-p99.${moreHelp}`,
    )
    .action(async (options: ActivationOptions & CommonOptions) => {
      exitCode = await runBenchmark("activation", options, (frame) => measureActivations(options, frame));
    });
  await program.parseAsync([...argv]);
  return exitCode;
}
