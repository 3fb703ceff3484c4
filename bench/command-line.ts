import { Command, InvalidArgumentError, Option } from "commander";
import { type ActivationOptions, measureActivations } from "./activation/activation.ts";
import { type AgentMemoryOptions, measureAgentMemory } from "./agent/agent-memory.ts";
import { type BrokerBenchOptions, measureBrokers, type RowGroup, rowGroups } from "./broker/broker.ts";
import { type CommonOptions, resultsFolder, runBenchmark } from "./frame.ts";
import { measureOta, type OtaOptions } from "./ota/ota.ts";
import { measurePaid, type PaidOptions } from "./paid/paid.ts";

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

function rowList(text: string): RowGroup[] {
  return text.split(",").map((name) => {
    const group = rowGroups.find((one) => one === name.trim());
    if (group === undefined) throw new InvalidArgumentError(`Of ${rowGroups.join(", ")}, with commas.`);
    return group;
  });
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
  program
    .command("ota")
    .description(
      "How fast a roll-out goes: from a change written for many cars to each car's signed report, committed.",
    )
    .option("--cars <n>", "cars, all connected, in one process", wholeNumber(4, 19_000), 5_000)
    .option("--changes <n>", "changes in all, over these cars in turn", wholeNumber(1, 10_000_000), 40_000)
    .option("--wave <n>", "cars changed in one transaction", wholeNumber(1, 5_000), 500)
    .option("--raw-seconds <s>", "how long each raw round trip is measured", positive, 5)
    .option(
      "--purchases <n>",
      "services bought in these cars afterwards, over REST (0: none)",
      wholeNumber(0, 1_000_000),
      2_000,
    )
    .option(
      "--filled <n>",
      "cars in the tables of the second installation that a change's cost is compared with (0: not compared)",
      wholeNumber(0, 1_000_000),
      100_000,
    )
    .option("--pairs <n>", "pairs of halves of that comparison", wholeNumber(1, 100), 10)
    .option("--seed <n>", "decides the cars' jitter", wholeNumber(0, 2 ** 31 - 1), 1)
    .option("--results <dir>", "where numbers, date and machine are kept", resultsFolder)
    .option("--json", "the last line is one JSON object", false)
    .addHelpText(
      "after",
      `
Starts the whole platform (PostgreSQL with every commit on disk, broker, control plane) and a process of real agents,
then: warms up with one change a car; --changes as fast as they are proved, several waves under way at once; about
10 s at half that rate, in waves that begin when they are due; --purchases as \`npm run bench -- paid\` makes them,
200 under way; and, after all that is closed, the raw round trip of
as many bytes through our broker and through Mosquitto (Debian's package; installed when root runs this), in turns.
Prints {"rolloutCarsPerSecond":…,"halfLoadP99Ms":…,"mosquittoRoundTripsPerSecond":…,"ratio":…,"ratioQos0":…,
"paidActivationsPerSecond":…,"bytesPerChange":…,"costRatio100kTo1k":…,"loadGeneratorCpuShare":…,
"brokerCpuUs":{"ours":…,"oursQos1":…,"mosquitto":…,"mosquittoQos0":…}}; what is null was not measured, and the lines above say why.
ratio compares with Mosquitto at QoS 1, which a peer needs that has only the broker's word; ratioQos0 at QoS 0, which
the platform itself speaks.
costRatio100kTo1k: processor time of a change in an installation with --filled cars in its tables, divided by one with
1,000; 1,000 cars are connected to each, and changes are rolled out in turns.
loadGeneratorCpuShare: cars and driver together, of one core, during the roll-out. bytesPerChange: growth of all
tables with indexes and TOAST after VACUUM. A profile of each part: NODE_OPTIONS="--cpu-prof --cpu-prof-dir=DIR".
Asserted: every change is proved, and every car's active slot holds what it shall. No speed fails it.${moreHelp}`,
    )
    .action(async (options: OtaOptions & CommonOptions) => {
      exitCode = await runBenchmark("ota", options, (frame) => measureOta(options, frame));
    });
  program
    .command("agent")
    .description(
      "How much memory the agent of one car holds while it does everyday work, as a process of its own.",
    )
    .option("--minutes <n>", "how long it is watched", wholeNumber(1, 10_080), 10)
    .option("--every <s>", "seconds between two changes", positive, 5)
    .option("--cut <n>", "minutes between two losses of the link; 0: never", wholeNumber(0, 10_080), 5)
    .addOption(
      new Option("--form <form>", "the one file that is installed, or the source")
        .choices(["bundle", "source"])
        .default("bundle"),
    )
    .option("--max-rss <mb>", "fails when more is resident at the end", positive, 96)
    .option(
      "--seed <n>",
      "nothing here is left to chance; for the results file",
      wholeNumber(0, 2 ** 31 - 1),
      1,
    )
    .option("--results <dir>", "where numbers, date and machine are kept", resultsFolder)
    .option("--json", "the last line is one JSON object", false)
    .addHelpText(
      "after",
      `
Starts a broker and, as the systemd unit does, an agent with everything on: mutual TLS, the local port with an app that
gives readings, telemetry, the HTTP port, scraped. A signed change every --every seconds, a lost link every --cut
minutes. Prints resident (RSS) and proportional (PSS) memory every minute and
{"rssMbAtStart":…,"rssMbAtEnd":…,"rssMbHighest":…,"rssMbPeak":…,"pssMbAtEnd":…,"changes":…,"minutes":…}.
Asserted: every change is applied and reported, telemetry comes, and RSS at the end <= --max-rss (10^6 bytes).${moreHelp}`,
    )
    .action(async (options: AgentMemoryOptions & CommonOptions) => {
      exitCode = await runBenchmark("agent", options, (frame) => measureAgentMemory(options, frame));
    });
  program
    .command("paid")
    .description(
      "How many paid activations complete a second: request, gate, hold, manifest, signed report, capture, each over the real processes.",
    )
    .option("--cars <n>", "cars, all connected, in one process", wholeNumber(4, 19_000), 2_000)
    .option("--purchases <n>", "purchases in all, over these cars in turn", wholeNumber(1, 1_000_000), 4_000)
    .option(
      "--under-way <n>",
      "purchases under way at one time, each in a car of its own",
      wholeNumber(1, 5_000),
      200,
    )
    .option(
      "--rate <n>",
      "purchases a second afterwards, due when they are due; else half of what it measured",
      positive,
    )
    .option("--seed <n>", "decides the cars' jitter", wholeNumber(0, 2 ** 31 - 1), 1)
    .option("--results <dir>", "where numbers, date and machine are kept", resultsFolder)
    .option("--json", "the last line is one JSON object", false)
    .addHelpText(
      "after",
      `
Starts the whole platform (PostgreSQL with every commit on disk, broker, control plane, partners) and a process of real
agents; a process of its own buys as the cars' owners over REST. After a warm-up: --purchases, the next one as soon as
one is captured; then about 10 s at half that rate (or --rate), due when they are due.
Prints {"paidActivationsPerSecond":…,"halfLoadP50Ms":…,"halfLoadP99Ms":…,"generatorCpuShare":…}.
Asserted: every purchase ends at ServiceActive, the gateway's own books show its price captured exactly once, and every
car's active slot holds what it shall. No speed fails it.${moreHelp}`,
    )
    .action(async (options: PaidOptions & CommonOptions) => {
      exitCode = await runBenchmark("paid", options, (frame) => measurePaid(options, frame));
    });
  program
    .command("broker")
    .description("Our broker, plain aedes and Mosquitto on the same loads, in one run.")
    .option("--rows <names>", "of messages, connects, memory, with commas", rowList, [...rowGroups])
    .option("--pairs <n>", "turns of each message load; a ratio wants 10", wholeNumber(1, 1_000), 10)
    .option("--seconds <s>", "how long each broker is measured in a turn", positive, 1)
    .option("--clients <n>", "cars of the message loads", wholeNumber(1, 6_000), 1_000)
    .option("--many <n>", "cars of the larger round trip", wholeNumber(1, 6_000), 5_000)
    .option("--connects <n>", "cars that come in at once", wholeNumber(1, 19_000), 2_000)
    .option(
      "--connections <n>",
      "up to how many connections memory is measured",
      wholeNumber(2, 19_000),
      16_000,
    )
    .option(
      "--seed <n>",
      "nothing here is left to chance; for the results file",
      wholeNumber(0, 2 ** 31 - 1),
      1,
    )
    .option("--results <dir>", "where numbers, date and machine are kept", resultsFolder)
    .option("--json", "the last line is one JSON object", false)
    .addHelpText(
      "after",
      `
Starts the three, each a process of its own, with no TLS and with it; Mosquitto from Debian's package, installed when
root runs this. messages: fan-in (cars to the platform), fan-out (the platform to cars) and round trips, at QoS 0 and
1; all stay connected and take turns. connects: plain, TLS, and TLS with a certificate a car. memory: growth of the
broker's PSS from 1,000 connections to --connections, plain and with certificates. About 12 minutes with the defaults.
Prints {"rows":[{"load":…,"unit":…,"ours":…,"aedes":…,"mosquitto":…,"cpuUs":{…},"oursToAedes":{…},…}]}; null is not
measured or not offered. oursToAedes and oursToMosquitto: their processor time a message divided by ours in each turn,
the median and its 95 % confidence interval; above 1 ours is cheaper.
Asserted: every message arrives and every car is let in. No speed fails it.${moreHelp}`,
    )
    .action(async (options: BrokerBenchOptions & CommonOptions) => {
      exitCode = await runBenchmark("broker", options, (frame) => measureBrokers(options, frame));
    });
  await program.parseAsync([...argv]);
  return exitCode;
}
