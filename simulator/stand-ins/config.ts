import { businessClockFrom } from "@caas/contract/business-clock.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { explainVariables } from "@caas/contract/explain-variables.ts";
import { Webhook } from "standardwebhooks";
import * as z from "zod";
import type { PartnersOptions } from "./all.ts";

const wholeNumber = (max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, "must be a whole number")
    .transform(Number)
    .refine((value) => value <= max, `must be at most ${max}`);

/** 0, the default: any free port. */
const port = wholeNumber(65_535).default(0);
const key = z.string({ error: "must be set" }).min(8, "must have at least 8 characters");
const standardSecret = z.string({ error: "must be set" }).refine((secret) => {
  try {
    return new Webhook(secret) instanceof Webhook;
  } catch {
    return false;
  }
}, "must be base64, with or without whsec_ before it");
const delayMs = wholeNumber(dayMs).default(0);

const environmentSchema = z.object({
  PARTNERS_DATA_DIR: z.string().min(1).default("data/partners"),
  WEBHOOK_BASE_URL: z
    .url({ protocol: /^https?$/, error: "must be an http or https URL" })
    .transform((url) => url.replace(/\/$/, ""))
    .optional(),
  FACTORY_PORT: port,
  FACTORY_API_KEY: key,
  FACTORY_WEBHOOK_SECRET: standardSecret,
  GATEWAY_PORT: port,
  GATEWAY_API_KEY: key,
  GATEWAY_WEBHOOK_SECRET: key,
  VSS_PORT: port,
  VSS_API_KEY: key,
  AUTHORITY_PORT: port,
  AUTHORITY_API_KEY: key,
  TRANSPORT_PORT: port,
  TRANSPORT_API_KEY: key,
  TRANSPORT_WEBHOOK_SECRET: standardSecret,
  INBOX_SMTP_PORT: port,
  INBOX_HTTP_PORT: port,
  MILESTONE_DELAY_MS: delayMs,
  STEP_DELAY_MS: delayMs,
  CAAS_BUSINESS_TIME: z.string().optional(),
});

/** Every variable the program reads. */
export const variableNames: readonly string[] = environmentSchema.keyof().options;

/** Those without a default. */
export const requiredNames: readonly string[] = Object.entries(environmentSchema.shape)
  .filter(([, variable]) => !variable.safeParse(undefined).success)
  .map(([name]) => name);

/** What the environment says. @throws Error naming each bad variable. */
export function readConfig(environment: NodeJS.ProcessEnv): PartnersOptions {
  // An empty variable is an absent one, as compose files and shells leave them.
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    const lines = explainVariables(parsed.error, given);
    throw new Error(["the environment is incomplete or wrong (see --help):", ...lines].join("\n  "));
  }
  const variables = parsed.data;
  return {
    dataDir: variables.PARTNERS_DATA_DIR,
    webhookBaseUrl: variables.WEBHOOK_BASE_URL ?? null,
    factory: {
      port: variables.FACTORY_PORT,
      apiKey: variables.FACTORY_API_KEY,
      webhookSecret: variables.FACTORY_WEBHOOK_SECRET,
      milestoneDelayMs: variables.MILESTONE_DELAY_MS,
    },
    gateway: {
      port: variables.GATEWAY_PORT,
      apiKey: variables.GATEWAY_API_KEY,
      webhookSecret: variables.GATEWAY_WEBHOOK_SECRET,
    },
    vss: { port: variables.VSS_PORT, apiKey: variables.VSS_API_KEY },
    authority: { port: variables.AUTHORITY_PORT, apiKey: variables.AUTHORITY_API_KEY },
    transport: {
      port: variables.TRANSPORT_PORT,
      apiKey: variables.TRANSPORT_API_KEY,
      webhookSecret: variables.TRANSPORT_WEBHOOK_SECRET,
      stepDelayMs: variables.STEP_DELAY_MS,
    },
    inbox: { smtpPort: variables.INBOX_SMTP_PORT, httpPort: variables.INBOX_HTTP_PORT },
    clock: businessClockFrom(variables.CAAS_BUSINESS_TIME),
  };
}
