#!/usr/bin/env node
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { businessClockFrom, realClock } from "@caas/contract/business-clock.ts";
import { preferLibsodium } from "@caas/contract/libsodium.ts";
import { destination, pino } from "pino";
import * as z from "zod";
import { type App, createApp } from "./app.ts";
import { configurationKeys, readConfig, requiredKeys } from "./config.ts";
import { SecretExposed } from "./fleet-link/protect-secrets.ts";
import { armFailpoints } from "./store/failpoints.ts";
import { SchemaRefused } from "./store/schema-check.ts";

const help = `caas-control-plane: sales, orders, payments, maintenance gate and over-the-air orchestration

  --help   this text

Prints one line of JSON on stdout when it is ready, logs on stderr; SIGTERM or SIGINT end it.
Its configuration is the environment; .env.example explains each variable, its unit and its default.
Must be set:
  ${requiredKeys.join("\n  ")}
May be set:
  ${configurationKeys.filter((name) => !requiredKeys.includes(name)).join("\n  ")}
`;

const packageSchema = z.object({ version: z.string() });
const usageError = 2;

function fail(message: string, code: number): never {
  process.stderr.write(`caas-control-plane: ${message}\n`);
  process.exit(code);
}

function asksForHelp(): boolean {
  try {
    return parseArgs({ options: { help: { type: "boolean", short: "h", default: false } } }).values.help;
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}; see --help`, usageError);
  }
}

async function main(): Promise<void> {
  if (asksForHelp()) {
    process.stdout.write(help);
    return;
  }
  const read = readConfig(process.env);
  if (read.kind === "invalid") fail(read.message, usageError);
  const { config } = read;
  if (config.CAAS_FAILPOINTS !== undefined) armFailpoints(config.CAAS_FAILPOINTS);
  const logger = pino(
    { name: "caas-control-plane", level: config.LOG_LEVEL },
    destination({ fd: 2, sync: false }),
  );
  const { version } = packageSchema.parse(
    JSON.parse(await readFile(new URL("package.json", import.meta.url), "utf8")),
  );

  let app: App | undefined;
  let ending = false;
  const end = (cause: string): void => {
    if (ending) return;
    ending = true;
    logger.info({ cause }, "closing");
    const closed = app?.stop() ?? Promise.resolve();
    closed.then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error({ err: error }, "closing failed");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", () => end("SIGTERM"));
  process.on("SIGINT", () => end("SIGINT"));
  process.on("disconnect", () => end("disconnect"));

  try {
    logger.info({ ed25519: await preferLibsodium() }, "signatures");
    app = await createApp(config, {
      clock: businessClockFrom(config.CAAS_BUSINESS_TIME),
      realClock,
      random: Math.random,
      logger,
      version,
    });
    const addresses = await app.start();
    process.stdout.write(`${JSON.stringify({ ready: true, addresses })}\n`);
  } catch (error) {
    // A refusal says in its sentence what to do; of anything else the log needs where it came from.
    if (!(error instanceof SchemaRefused || error instanceof SecretExposed))
      logger.fatal({ err: error }, "the control plane could not start");
    fail(error instanceof Error ? error.message : String(error), 1);
  }
}

if (import.meta.main) await main();
