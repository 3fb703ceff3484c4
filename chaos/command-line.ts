import { mkdirSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { rehearseOta } from "./ota.ts";
import type { OtaOptions } from "./ota-plan.ts";

type Options = OtaOptions & { json: boolean; keep?: string };

const moreHelp = `
It starts what it needs on free ports in a temporary folder, and removes both. ^C ends it and leaves nothing running.
Exit code: 0 when every counter of the verdict is 0, every planned fault fired and the sums agree; 1 when not, with a
sentence naming the activation or the car, and the command that repeats the schedule; 2 for wrong use.`;

const otaHelp = `
What happens: owners buy services over REST for cars whose fate the seed pins (healthy, crashing at a named step,
rejecting, falling ill, asleep for days or too long, overdue at the workshops), over a link that drops, doubles,
reorders, delays, forges and replays packets; broker, control plane and a process of cars die by kill -9 at named
places of their code and by the clock, and are started again; days of business time pass.
The verdict rests on the payment gateway's own store and the cars' own slots.`;

function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const number = Number(text);
    if (!/^\d+$/.test(text) || number < least || number > most)
      throw new InvalidArgumentError(`A whole number from ${least} to ${most}.`);
    return number;
  };
}

/** Reads the command line, runs the rehearsal it names and returns the exit code. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = new Command("npm run chaos --")
    .description("Breaks the platform by plan, and audits what customers were charged and cars were given.")
    .addHelpText("after", moreHelp)
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
    .showHelpAfterError();
  program
    .command("ota")
    .description("Services switched on over the air, while links, cars and processes fail.")
    .option("--vehicles <n>", "cars, one owner each", wholeNumber(20, 15_000), 2_000)
    .option("--activations <n>", "services bought", wholeNumber(20, 1_000_000), 5_000)
    .option("--seed <n>", "fixes the schedule", wholeNumber(0, 2 ** 31 - 1), 11)
    .option("--keep <dir>", "keeps everything here (stores, logs, journals) instead of a temporary folder")
    .option("--json", "the last line is one JSON object", false)
    .addHelpText("after", `${otaHelp}\n${moreHelp}`)
    .action(async (options: Options) => {
      exitCode = await runOta(options);
    });
  await program.parseAsync([...argv]);
  return exitCode;
}

async function runOta({ vehicles, activations, seed, json, keep }: Options): Promise<0 | 1> {
  const stopping = new AbortController();
  let asked = 0;
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      asked += 1;
      stopping.abort();
      if (asked === 3) process.exit(1);
    });
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const complain = (line: string) => void process.stderr.write(`${line}\n`);
  if (keep !== undefined) mkdirSync(keep, { recursive: true });
  const repeat = `npm run chaos -- ota --vehicles ${vehicles} --activations ${activations} --seed ${seed}`;
  try {
    const options = { vehicles, activations, seed };
    const frame = { signal: stopping.signal, say, ...(keep === undefined ? {} : { keepIn: keep }) };
    const { report, failures } = await rehearseOta(options, frame);
    const { faults, ...numbers } = report;
    for (const [name, value] of Object.entries(numbers)) say(`  ${name.padEnd(20)} ${value}`);
    say(`  faults               ${JSON.stringify(faults)}`);
    for (const failure of failures) complain(`Did not hold: ${failure}`);
    if (failures.length > 0) complain(`The same schedule again: ${repeat}`);
    if (json) say(JSON.stringify(report));
    return failures.length === 0 ? 0 : 1;
  } catch (error) {
    const why = stopping.signal.aborted
      ? "it was stopped before its end"
      : error instanceof Error
        ? error.message
        : String(error);
    complain(`It could not be run to its end: ${why}. The same schedule again: ${repeat}`);
    if (json) say(JSON.stringify({ error: why }));
    return 1;
  }
}
