#!/usr/bin/env node
import { fstatSync } from "node:fs";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { complain, wordsOf } from "../command/run.ts";
import { startPartners } from "./all.ts";
import { readConfig, requiredNames, variableNames } from "./config.ts";

// `caas-partners`: every stand-in in one process, until it is told to stop or its starter is gone.

/** The log goes to stderr: stdout holds the one line that says where everything listens. */
const logger = pino({ name: "caas-partners", level: process.env.LOG_LEVEL || "warn" }, pino.destination(2));

const help = `caas-partners: stand-ins for the factory, the gateway, the workshops, the authority, the carrier and the mailboxes

  --help   this text

Prints one line of JSON on stdout with their addresses, logs on stderr; SIGTERM or SIGINT end it. Each address is also
a page for people. Its configuration is the environment; simulator/stand-ins/README.md explains each variable.
Must be set:
  ${requiredNames.join("\n  ")}
May be set:
  ${variableNames.filter((name) => !requiredNames.includes(name)).join("\n  ")}
`;

function asksForHelp(): boolean {
  try {
    return parseArgs({ options: { help: { type: "boolean", short: "h", default: false } } }).values.help;
  } catch (error) {
    throw new Error(`${wordsOf(error)}; see --help`);
  }
}

async function run(): Promise<void> {
  if (asksForHelp()) return void process.stdout.write(help);
  const partners = await startPartners({ ...readConfig(process.env), logger });
  let isStopping = false;
  const stop = () => {
    if (isStopping) return;
    isStopping = true;
    partners.close().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error(error, "could not close cleanly");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // A starter that dies without a signal must leave no orphans behind.
  process.on("disconnect", stop);
  if (isPipe()) process.stdin.on("end", stop).on("error", stop).resume();
  process.stdout.write(`${JSON.stringify({ ready: true, addresses: partners.addresses })}\n`);
}

/** A terminal or /dev/null as input says nothing about the starter: only the end of a pipe does. */
function isPipe(): boolean {
  const input = fstatSync(0);
  return input.isFIFO() || input.isSocket();
}

if (import.meta.main)
  run().catch((error: unknown) => {
    complain(`caas-partners: ${wordsOf(error)}`);
    process.exit(1);
  });
