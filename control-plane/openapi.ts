import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "@caas/contract/business-clock.ts";
import { pino } from "pino";
import * as z from "zod";
import { createApp } from "./app.ts";
import { readConfig } from "./config.ts";

const packageSchema = z.object({ version: z.string() });

/** What must be named but is not used: describing the interface connects to nothing. */
const unused = "http://127.0.0.1:1";
const unusedSecret = "described-without-being-used-by-anybody";

/**
 * The REST interface as the running code describes it, in OpenAPI 3.1 (JSON, two spaces). Everything is wired as for a
 * start, and nothing is started: no database, no broker and no partner is asked.
 */
export async function renderOpenApi(): Promise<string> {
  const keysFolder = await mkdtemp(join(tmpdir(), "caas-openapi-"));
  try {
    const read = readConfig({
      DATABASE_URL: "postgres://127.0.0.1:1/unused",
      MQTT_URL: "mqtt://127.0.0.1:1",
      SMTP_URL: "smtp://127.0.0.1:1",
      KEYS_DIR: keysFolder,
      SESSION_SECRET: unusedSecret,
      ENROLMENT_SECRET: unusedSecret,
      ...describeUnusedPartners(),
    });
    if (read.kind === "invalid") throw new Error(read.message);
    const { version } = packageSchema.parse(
      JSON.parse(await readFile(new URL("package.json", import.meta.url), "utf8")),
    );
    const app = await createApp(read.config, {
      clock: realClock,
      realClock,
      random: Math.random,
      logger: pino({ level: "silent" }),
      version,
    });
    return `${JSON.stringify(await app.openApi(), null, 2)}\n`;
  } finally {
    await rm(keysFolder, { recursive: true, force: true });
  }
}

function describeUnusedPartners(): Record<string, string> {
  return Object.fromEntries(
    ["FACTORY", "GATEWAY", "VSS", "AUTHORITY", "TRANSPORT"].flatMap((partner) => [
      [`${partner}_URL`, unused],
      [`${partner}_API_KEY`, unusedSecret],
      [`${partner}_WEBHOOK_SECRET`, `whsec_${Buffer.from(unusedSecret).toString("base64")}`],
    ]),
  );
}
