import { brokerAddressesSchema } from "@caas/contract/broker-addresses.ts";
import { parseBusinessTime } from "@caas/contract/business-clock.ts";
import { explainVariables } from "@caas/contract/explain-variables.ts";
import * as z from "zod";
import { parseFailpoint } from "./failpoints.ts";

/** Wrong use or a refusal: said in one sentence, without a stack. */
export class ProgramError extends Error {}

/** A variable set to nothing counts as not set. */
const optionalText = z
  .string()
  .optional()
  .transform((text) => (text === "" ? undefined : text));

const portSchema = z
  .string()
  .regex(/^[0-9]{1,5}$/, "must be a port number")
  .transform(Number)
  .pipe(z.int().max(65_535));

const environmentSchema = z.object({
  /** Where the car's state and configuration lie. */
  CAAS_AGENT_DATA_DIR: optionalText,
  /** Enrolment package (JSON) as the factory installed it. */
  CAAS_AGENT_PACKAGE_FILE: optionalText,
  /** Run by the shell after every change; exit code 0 means the car is healthy. */
  CAAS_AGENT_PROBE_COMMAND: optionalText,
  /** Run by the shell with the whole active configuration on its standard input; exit code 0 means taken. */
  CAAS_AGENT_APPLY_COMMAND: optionalText,
  /** Loopback port where apps in the car speak MQTT; 0 takes a free one, without it there is none. */
  CAAS_AGENT_LOCAL_PORT: optionalText.pipe(portSchema.optional()),
  /** Which apps may do what there (JSON); without it none may do anything. */
  CAAS_AGENT_LOCAL_APPS_FILE: optionalText,
  /** Loopback port of /health, /metrics and /display; 0 takes a free one, without it there is none. */
  CAAS_AGENT_HTTP_PORT: optionalText.pipe(portSchema.optional()),
  /** Replaces the broker address that enrolment gave, when the broker has moved. */
  CAAS_AGENT_BROKER_URL: optionalText.pipe(brokerAddressesSchema.optional()),
  /** REAL/BUSINESS/SCALE; without it business time is real time. */
  CAAS_BUSINESS_TIME: optionalText.refine(
    (text) => text === undefined || parseBusinessTime(text) !== undefined,
    "must read REAL/BUSINESS/SCALE, as 2026-01-01T00:00:00Z/2026-01-01T00:00:00Z/1",
  ),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  /** Rehearses a power loss: `step` or `step:n`. Only for tests. */
  CAAS_AGENT_CRASH_AT: optionalText.transform((text, context) => {
    const place = text === undefined ? undefined : parseFailpoint(text);
    if (text !== undefined && place === undefined)
      context.addIssue({ code: "custom", message: "must be a step's name, or step:n" });
    return place;
  }),
});

export type AgentConfig = z.infer<typeof environmentSchema>;

/** Every variable the agent reads. */
export const variableNames: readonly string[] = Object.keys(environmentSchema.shape);

/** @throws ProgramError that names every variable with a bad value. */
export function readConfig(environment: NodeJS.ProcessEnv): AgentConfig {
  const result = environmentSchema.safeParse(environment);
  if (!result.success) {
    const lines = explainVariables(result.error, environment);
    throw new ProgramError(["the environment is wrong (see --help):", ...lines].join("\n  "));
  }
  return result.data;
}
