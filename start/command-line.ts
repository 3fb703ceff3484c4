import { resolve } from "node:path";
import { createProgram } from "@caas/simulator/command/program.ts";
import { complain, print, stopOnSignals, withTemporaryFolder, wordsOf } from "@caas/simulator/command/run.ts";
import { InvalidArgumentError, Option } from "commander";
import { readComplaints } from "./complaints.ts";
import { explainLittleRoom } from "./data-folder.ts";
import { demonstrate, PartEnded } from "./demonstration.ts";
import { portTable, StartRefused } from "./ports.ts";
import { createNarrator } from "./story/narrate.ts";
import { StoryFailed } from "./story/step.ts";

const portLines = Object.values(portTable)
  .map(({ variable, port, serves }) => `  ${variable.padEnd(22)} ${String(port).padEnd(6)} ${serves}`)
  .join("\n");

const moreHelp = `
Everything runs on this machine: an embedded PostgreSQL, the MQTT broker, the control plane, stand-ins for the
partners, and the demo cars. The environment replaces any of them:
  DATABASE_URL           a PostgreSQL 15 or newer, instead of the embedded one
  MQTT_URL               a broker, instead of ours (with MQTT_USERNAME, MQTT_PASSWORD, CAR_MQTT_URL)
  FACTORY_URL, GATEWAY_URL, VSS_URL, AUTHORITY_URL, TRANSPORT_URL, SMTP_URL
                         a partner, instead of its stand-in (with …_API_KEY and …_WEBHOOK_SECRET)
  CAAS_BUSINESS_TIME     REAL/BUSINESS/SCALE, two instants and a factor: business time runs so much faster

Ports (0 takes any free one):
${portLines}

The last line of --once --json:
  {"ok":true,"vehicleState":"Operational","activationState":"ServiceActive","payment":"captured",
   "steps":[{"name":…,"ms":…}],"totalMs":…}           or {"ok":false,"step":…,"why":…}
A story that fails ends only --once; otherwise the platform stays up, says what is set on the stand-ins, and how to
put it back.
Exit code: 0, or 1 when the start, a part, or (--once) the story failed, or 2 for wrong use.`;

type Options = {
  once: boolean;
  json: boolean;
  data?: string;
  story: boolean;
  cars?: number;
  ports?: "default" | "free";
};

const program = createProgram(
  "npm start --",
  "Starts the whole platform and plays the story of one customer, from the sale to a paid service.",
)
  .option("--once", "play the story on free ports in a temporary folder, then end", false)
  .option("--json", "print what came of the story as one JSON object in the last line", false)
  .option(
    "--data <dir>",
    "what survives a restart is kept here (default: ./data; with --once a temporary folder)",
  )
  .option("--no-story", "only bring the platform and its cars up")
  .option(
    "--cars <n>",
    "cars in all, the story's included (default: 25; with --once only the story's)",
    readCars,
  )
  .addOption(
    new Option("--ports <which>", "the table below, or free ones (default with --once)").choices([
      "default",
      "free",
    ]),
  )
  .addHelpText("after", moreHelp);

function readCars(text: string): number {
  const cars = Number(text);
  if (!/^\d+$/.test(text) || cars < 1 || cars > 200) throw new InvalidArgumentError("1 to 200 cars.");
  return cars;
}

/** Reads the command line, does what it says and returns the exit code. */
export function runCommandLine(argv: readonly string[]): Promise<0 | 1> {
  const options = program.parse([...argv]).opts<Options>();
  return options.once && options.data === undefined
    ? withTemporaryFolder("once", (folder) => run(options, folder))
    : run(options, resolve(options.data ?? "data"));
}

async function run(options: Options, dataDir: string): Promise<0 | 1> {
  const startedMs = Date.now();
  const signal = stopOnSignals();
  try {
    const played = await demonstrate({
      dataDir,
      ports: options.ports ?? (options.once ? "free" : "default"),
      cars: options.cars ?? (options.once ? 1 : 25),
      story: options.story,
      once: options.once,
      environment: process.env,
      signal,
      say: print,
      narrator: createNarrator(print, process.stdout.isTTY === true && process.env.NO_COLOR === undefined),
    });
    if (played === null && options.once && options.story)
      throw new Error("it was stopped before the story's end");
    if (played !== null && options.json) print(JSON.stringify({ ok: true, ...played }));
    return 0;
  } catch (error) {
    // ^C while starting: the parts under way were ended by ourselves.
    if (signal.aborted && !options.once && !(error instanceof PartEnded)) return 0;
    const step =
      error instanceof StoryFailed ? error.step : error instanceof PartEnded ? "platform" : "start";
    const why = error instanceof StoryFailed ? error.why : wordsOf(error);
    // A refused start has said what to do; anything else is explained best by the parts themselves.
    if (!(error instanceof StartRefused))
      for (const line of readComplaints(dataDir, startedMs)) complain(line);
    complain(error instanceof StoryFailed ? `The story failed at "${step}": ${why}` : why);
    const room = explainLittleRoom(dataDir);
    if (room !== null && !(error instanceof StartRefused)) complain(room);
    if (options.json) print(JSON.stringify({ ok: false, step, why }));
    return 1;
  }
}
