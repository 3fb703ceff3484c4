#!/usr/bin/env node
import { parseArgs } from "node:util";
import { ProgramError, readConfig } from "./config.ts";
import { keepHeapSmall } from "./small-heap.ts";

const help = `caas-agent: the edge gateway of one car

  caas-agent enrol --package FILE --data DIR    trade the enrolment package for the car's certificate
  caas-agent run --data DIR [--package FILE]    run until SIGTERM; enrols first where that is still to do

  --data DIR       the car's state and configuration   (or CAAS_AGENT_DATA_DIR)
  --package FILE   the factory's enrolment package     (or CAAS_AGENT_PACKAGE_FILE)
  --help           this text

  CAAS_AGENT_PROBE_COMMAND   run after every change; exit code 0 means the car is healthy
  CAAS_AGENT_APPLY_COMMAND   run with the active configuration on its standard input
  CAAS_AGENT_LOCAL_PORT      loopback port where apps in the car speak MQTT (0: a free one)
  CAAS_AGENT_LOCAL_APPS_FILE which apps may do what there
  CAAS_AGENT_HTTP_PORT       loopback port of /health, /metrics and /display (0: a free one)
  CAAS_AGENT_BROKER_URL      another broker than the one enrolment named
  CAAS_BUSINESS_TIME         REAL/BUSINESS/SCALE
  LOG_LEVEL                  fatal, error, warn, info (default), debug, trace, silent

"run" prints one line of JSON when the broker has taken the car's first report, and one when the car has lost what
proves it and waits for another enrolment package. Damaged files are set aside as NAME.damaged-N. Logs go to standard
error.
`;

async function main(): Promise<void> {
  keepHeapSmall();
  const { values, positionals } = parseCommandLine();
  const [command, ...rest] = positionals;
  if (values.help === true) {
    process.stdout.write(help);
    return;
  }
  const config = readConfig(process.env);
  const dataDir = values.data ?? config.CAAS_AGENT_DATA_DIR;
  const packageFile = values.package ?? config.CAAS_AGENT_PACKAGE_FILE;
  if (rest.length > 0 || (command !== "enrol" && command !== "run"))
    throw new ProgramError("say `enrol` or `run`; --help explains them");
  if (dataDir === undefined) throw new ProgramError("name the car's folder with --data");
  // Imported here, so that everything is loaded into a small heap.
  const { enrolFolder, runAgent } = await import("./program.ts");
  const stop = new AbortController();
  const end = (): void => stop.abort();
  process.once("SIGTERM", end).once("SIGINT", end);
  // A car started with a channel ends with its parent.
  process.once("disconnect", end);
  if (command === "run") {
    const onReady = (ready: object): void => print({ ready: true, ...ready });
    const onNeedsEnrolment = (needs: object): void => print({ ready: false, needsEnrolment: true, ...needs });
    await runAgent({ config, dataDir, packageFile, signal: stop.signal, onReady, onNeedsEnrolment });
  } else {
    if (packageFile === undefined) throw new ProgramError("name the enrolment package with --package");
    const { vin } = await enrolFolder(dataDir, packageFile, stop.signal);
    print({ enrolled: true, vin });
  }
}

function parseCommandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        data: { type: "string" },
        package: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new ProgramError(`${error instanceof Error ? error.message : String(error)} (see --help)`);
  }
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

if (import.meta.main)
  main()
    .catch((error: unknown) => {
      const isExpected =
        error instanceof ProgramError || (error instanceof Error && error.name === "AbortError");
      const words =
        isExpected || !(error instanceof Error) ? String(error).replace(/^Error: /, "") : error.stack;
      process.stderr.write(`caas-agent: ${words}\n`);
      process.exitCode = 1;
    })
    // An open channel to a parent would keep the process alive.
    .finally(() => {
      if (process.connected) process.disconnect?.();
    });
