import { addSeed, createProgram, positive, wholeNumber } from "@caas/simulator/command/program.ts";
import { type Command, InvalidArgumentError, Option } from "commander";
import { measureActivations } from "./activation/activation.ts";
import { measureAgentMemory } from "./agent/agent-memory.ts";
import { measureBrokers, type RowGroup, rowGroups } from "./broker/broker.ts";
import { type CommonOptions, type Findings, type Frame, resultsFolder, runBenchmark } from "./frame.ts";
import { measureOta } from "./ota/ota.ts";
import { measurePaid } from "./paid/paid.ts";

const moreHelp = `
Each benchmark starts what it needs on free ports in a temporary folder, and removes it. Numbers, date, machine, and the
counts and times that the numbers come from, are kept in bench/results/ (or --results). ^C ends a run early and prints what it has.
Exit code: 0 when everything asserted held, 1 when not, 2 for wrong use.`;

const jitter = "decides the cars' jitter";
const noChance = "nothing here is left to chance; for the results file";

/** Reads the command line, runs the benchmark it names and returns the exit code. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = createProgram("npm run bench --", "Measures the platform.").addHelpText("after", moreHelp);

  /** `addOptions` adds what only this benchmark has; the options of all benchmarks come last in the help. */
  function addBenchmark<Options>(
    name: string,
    texts: { does: string; seedDecides: string; help: string },
    addOptions: (command: Command) => Command,
    measure: (options: Options, frame: Frame) => Promise<Findings>,
  ): void {
    addSeed(addOptions(program.command(name).description(texts.does)), texts.seedDecides)
      .option("--results <dir>", "where numbers, date and machine are kept", resultsFolder)
      .option("--json", "the last line is one JSON object", false)
      .addHelpText("after", `${texts.help}${moreHelp}`)
      .action(async (options: Options & CommonOptions) => {
        exitCode = await runBenchmark(name, options, (frame) => measure(options, frame));
      });
  }

  addBenchmark(
    "activation",
    {
      does: "How long a paid service takes to be switched on: from the hold's authorisation, committed, to the car's signed report, committed.",
      seedDecides: "decides the arrivals' chance",
      help: `
Prints {"activationsPerSecond":…,"p50Ms":…,"p99Ms":…}: the rate from the burst (every car buys one service after
the other as fast as each is proved), the percentiles from arrivals at --rate that do not wait for each other.
Asserted: every activation ends in ServiceActive at its first attempt, after some time, and p99 <= --max-p99.`,
    },
    (command) =>
      command
        .option("--cars <n>", "cars, all in one process", wholeNumber(1, 200), 25)
        .option("--rate <n>", "activations a second while latency is measured (open loop)", positive, 2)
        .option("--samples <n>", "activations measured for latency", wholeNumber(1, 5_000), 120)
        .option(
          "--burst <n>",
          "activations a car in the burst that measures the rate (closed loop)",
          wholeNumber(1, 40),
          4,
        )
        .option("--max-p99 <ms>", "fails when the 99th percentile is above", positive, 250),
    measureActivations,
  );
  addBenchmark(
    "ota",
    {
      does: "How fast a roll-out goes: from a change written for many cars to each car's signed report, committed.",
      seedDecides: jitter,
      help: `
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
Asserted: every change is proved, and every car's active slot holds what it must. No speed fails it.`,
    },
    (command) =>
      command
        .option("--cars <n>", "cars, all connected, in one process", wholeNumber(4, 19_000), 5_000)
        .option(
          "--changes <n>",
          "changes in all, over these cars in turn",
          wholeNumber(1, 10_000_000),
          40_000,
        )
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
        .option("--pairs <n>", "pairs of halves of that comparison", wholeNumber(1, 100), 10),
    measureOta,
  );
  addBenchmark(
    "agent",
    {
      does: "How much memory the agent of one car holds while it does everyday work, as a process of its own.",
      seedDecides: noChance,
      help: `
Starts a broker and, as the systemd unit does, an agent with everything on: mutual TLS, the local port with an app that
gives readings, telemetry, the HTTP port, scraped. A signed change every --every seconds, a lost link every --cut
minutes. Prints resident (RSS) and proportional (PSS) memory every minute and
{"rssMbAtStart":…,"rssMbAtEnd":…,"rssMbHighest":…,"rssMbPeak":…,"pssMbAtEnd":…,"changes":…,"minutes":…}.
Asserted: every change is applied and reported, telemetry comes, and RSS at the end <= --max-rss (10^6 bytes).`,
    },
    (command) =>
      command
        .option("--minutes <n>", "how long it is watched", positive, 10)
        .option("--every <s>", "seconds between two changes", positive, 5)
        .option("--cut <n>", "minutes between two losses of the link; 0: never", wholeNumber(0, 10_080), 5)
        .addOption(
          new Option("--form <form>", "the one file that is installed, or the source")
            .choices(["bundle", "source"])
            .default("bundle"),
        )
        .option("--max-rss <mb>", "fails when more is resident at the end", positive, 96),
    measureAgentMemory,
  );
  addBenchmark(
    "paid",
    {
      does: "How many paid activations complete a second: request, gate, hold, manifest, signed report, capture, each over the real processes.",
      seedDecides: jitter,
      help: `
Starts the whole platform (PostgreSQL with every commit on disk, broker, control plane, partners) and a process of real
agents; a process of its own buys as the cars' owners over REST. After a warm-up: --purchases, the next one as soon as
one is captured; then about 10 s at half that rate (or --rate), due when they are due.
Prints {"paidActivationsPerSecond":…,"halfLoadP50Ms":…,"halfLoadP99Ms":…,"generatorCpuShare":…}.
Counted is what the gateway's own books, its file, show captured exactly once at the right price.
Asserted: that is every purchase, each ends at ServiceActive, and every car's active slot holds what it must. No speed
fails it.`,
    },
    (command) =>
      command
        .option("--cars <n>", "cars, all connected, in one process", wholeNumber(4, 19_000), 2_000)
        .option(
          "--purchases <n>",
          "purchases in all, over these cars in turn",
          wholeNumber(1, 1_000_000),
          4_000,
        )
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
        ),
    measurePaid,
  );
  addBenchmark(
    "broker",
    {
      does: "Our broker, plain aedes and Mosquitto on the same loads, in one run.",
      seedDecides: noChance,
      help: `
Starts the three, each a process of its own, with no TLS and with it; Mosquitto from Debian's package, installed when
root runs this. messages: fan-in (cars to the platform), fan-out (the platform to cars) and round trips, at QoS 0 and
1; all stay connected and take turns. connects: plain, TLS, and TLS with a certificate a car. memory: growth of the
broker's PSS from 1,000 connections to --connections, plain and with certificates. About 12 minutes with the defaults.
Prints {"rows":[{"load":…,"unit":…,"ours":…,"aedes":…,"mosquitto":…,"cpuUs":{…},"oursToAedes":{…},…}]}; null is not
measured or not offered. oursToAedes and oursToMosquitto: their processor time a message divided by ours in each turn,
the median and its 95 % confidence interval; above 1 ours is cheaper.
Asserted: every message arrives and every car is let in. No speed fails it.`,
    },
    (command) =>
      command
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
        ),
    measureBrokers,
  );
  await program.parseAsync([...argv]);
  return exitCode;
}

function rowList(text: string): RowGroup[] {
  return text.split(",").map((name) => {
    const group = rowGroups.find((one) => one === name.trim());
    if (group === undefined) throw new InvalidArgumentError(`Of ${rowGroups.join(", ")}, with commas.`);
    return group;
  });
}
