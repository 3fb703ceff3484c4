import { chmodSync, mkdirSync } from "node:fs";
import { addSeed, createProgram, wholeNumber } from "@caas/simulator/command/program.ts";
import { complain, print, stopOnSignals, withTemporaryFolder, wordsOf } from "@caas/simulator/command/run.ts";
import { Option } from "commander";
import { rehearseOta } from "./ota.ts";
import type { OtaOptions } from "./ota-plan.ts";
import { type Tampering, tamperings } from "./tamper.ts";

type Options = OtaOptions & { json: boolean; keep?: string; tamper?: Tampering };

const moreHelp = `
It starts what it needs on free ports in a temporary folder, and removes both. ^C ends it and leaves nothing running.
Exit code: 0 when every counter of the verdict is 0, every planned fault fired and the sums agree; 1 when not, with a
sentence naming the activation or the car, and the command that repeats the schedule; 2 for wrong use.`;

const otaHelp = `
What happens: owners buy services over REST for cars whose fate the seed pins (healthy, crashing at a named step,
rejecting, falling ill, asleep for days or too long, overdue at the workshops), over a link that drops, doubles,
reorders, delays, forges and replays packets; disks lose files and control units are swapped; clocks are wrong; cards
refuse, want to be confirmed, or leave us without an answer; the gateway fails; money goes back. Broker, control plane
and a process of cars die by kill -9 at named places of their code and by the clock, and are started again; days of
business time pass.
The verdict rests on the payment gateway's own store and the cars' own slots.`;

/** Reads the command line, runs the rehearsal it names and returns the exit code. */
export async function runCommandLine(argv: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = createProgram(
    "npm run chaos --",
    "Breaks the platform by plan, and audits what customers were charged and cars were given.",
  ).addHelpText("after", moreHelp);
  const ota = program
    .command("ota")
    .description("Services switched on over the air, while links, cars and processes fail.")
    .option("--vehicles <n>", "cars, one owner each", wholeNumber(20, 15_000), 2_000)
    .option("--activations <n>", "services bought", wholeNumber(20, 1_000_000), 5_000);
  addSeed(ota, "fixes the schedule", 11)
    .option("--keep <dir>", "keeps everything here (stores, logs, journals) instead of a temporary folder")
    .addOption(
      new Option(
        "--tamper <how>",
        "changes the evidence before the audit, so that the run must fail",
      ).choices(Object.keys(tamperings)),
    )
    .option("--json", "the last line is one JSON object", false)
    .addHelpText("after", `${otaHelp}\n${moreHelp}`)
    .action(async (options: Options) => {
      exitCode = await runOta(options);
    });
  await program.parseAsync([...argv]);
  return exitCode;
}

async function runOta({ vehicles, activations, seed, json, keep, tamper }: Options): Promise<0 | 1> {
  const signal = stopOnSignals();
  if (keep !== undefined) {
    mkdirSync(keep, { recursive: true });
    chmodSync(keep, 0o711); // the database's user passes through it
  }
  const repeat = `npm run chaos -- ota --vehicles ${vehicles} --activations ${activations} --seed ${seed}`;
  try {
    const rehearse = (dataDir: string) =>
      rehearseOta(
        { vehicles, activations, seed },
        { dataDir, signal, say: print, tamper: tamper === undefined ? null : tamperings[tamper] },
      );
    const { report, failures } = await (keep === undefined
      ? withTemporaryFolder("chaos", rehearse)
      : rehearse(keep));
    for (const [name, value] of Object.entries(report))
      print(`  ${name.padEnd(20)} ${typeof value === "object" ? JSON.stringify(value) : value}`);
    for (const failure of failures) complain(`Did not hold: ${failure}`);
    if (failures.length > 0) complain(`The same schedule again: ${repeat}`);
    if (json) print(JSON.stringify(report));
    return failures.length === 0 ? 0 : 1;
  } catch (error) {
    const why = signal.aborted ? "it was stopped before its end" : wordsOf(error);
    complain(`It could not be run to its end: ${why}. The same schedule again: ${repeat}`);
    if (json) print(JSON.stringify({ error: why }));
    return 1;
  }
}
