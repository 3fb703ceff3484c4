import { brokerAddressesSchema } from "@caas/contract/broker-addresses.ts";
import { parseBusinessTime } from "@caas/contract/business-clock.ts";
import { defaultTimeZone, isTimeZone } from "@caas/contract/business-day.ts";
import { explainVariables } from "@caas/contract/explain-variables.ts";
import * as z from "zod";
import { emailSchema } from "./http/contact-fields.ts";
import { defaultConfirmationHours, defaultSecondLookCents } from "./rules/decline-table.ts";
import { defaultFinalPaymentTerms } from "./rules/final-payment-policy.ts";
import { defaultPresumptionLimits } from "./rules/presumption-policy.ts";
import { parseFailpoints } from "./store/failpoints.ts";

// Read once, here. A bad value stops the start and names the variable.

const port = z.coerce.number().int().min(0).max(65_535);
const secret = z.string().min(32, "must have at least 32 characters");
const apiKey = z.string().min(8, "must have at least 8 characters");
const httpUrl = z.url({ protocol: /^https?$/, error: "must be an http:// or https:// address" });
const cents = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** For every program that opens the database. */
export const databaseUrlSchema = z.url({
  protocol: /^postgres(ql)?$/,
  error: "must be postgres://user:password@host:port/database",
});
const flag = z.enum(["true", "false"]).transform((text) => text === "true");

/** Up to two live secrets, newest first, so that a partner can rotate without losing a webhook. */
const webhookSecrets = z
  .string()
  .transform((text) => text.split(",").map((part) => part.trim()))
  .pipe(z.array(secret).min(1).max(2));

const schema = z.object({
  DATABASE_URL: databaseUrlSchema,
  DATABASE_CONNECTIONS: z.coerce.number().int().min(4).max(200).default(20),
  HTTP_HOST: z.string().default("127.0.0.1"),
  HTTP_PORT: port.default(8080),
  PUBLIC_URL: httpUrl.optional(),
  SESSION_SECRET: secret,
  ENROLMENT_SECRET: secret,
  KEYS_DIR: z.string().min(1),
  MQTT_URL: brokerAddressesSchema,
  MQTT_USERNAME: z.string().default("control-plane"),
  MQTT_PASSWORD: z.string().optional(),
  /** Where cars are told to connect; by default the control plane's own broker address. */
  CAR_MQTT_URL: brokerAddressesSchema.optional(),
  BROKER_CAR_SECRET: secret.optional(),
  FACTORY_URL: httpUrl,
  FACTORY_API_KEY: apiKey,
  FACTORY_WEBHOOK_SECRET: webhookSecrets,
  GATEWAY_URL: httpUrl,
  GATEWAY_API_KEY: apiKey,
  GATEWAY_WEBHOOK_SECRET: webhookSecrets,
  PRESUMED_PAYMENT_MAX_CENTS: cents.default(defaultPresumptionLimits.maxAmountCents),
  PRESUMED_CUSTOMER_CAP_CENTS: cents.default(defaultPresumptionLimits.customerCapCents),
  PRESUMED_TOTAL_CAP_CENTS: cents.default(defaultPresumptionLimits.totalCapCents),
  PAYMENT_RETURN_URL: httpUrl.optional(),
  PAYMENT_CONFIRMATION_HOURS: z.coerce.number().int().min(1).max(168).default(defaultConfirmationHours),
  SECOND_LOOK_CENTS: cents.default(defaultSecondLookCents),
  FINAL_PAYMENT_TRIES: z.coerce.number().int().min(1).max(10).default(defaultFinalPaymentTerms.tries),
  FINAL_PAYMENT_DEADLINE_DAYS: z.coerce
    .number()
    .int()
    .min(0)
    .max(365)
    .default(defaultFinalPaymentTerms.deadlineDays),
  VSS_URL: httpUrl,
  VSS_API_KEY: apiKey,
  AUTHORITY_URL: httpUrl,
  AUTHORITY_API_KEY: apiKey,
  TRANSPORT_URL: httpUrl,
  TRANSPORT_API_KEY: apiKey,
  TRANSPORT_WEBHOOK_SECRET: webhookSecrets,
  SMTP_URL: z.url({ protocol: /^smtps?$/, error: "must be an smtp:// or smtps:// address" }),
  MAIL_FROM: z.string().default("Car-as-a-Service <no-reply@caas.example>"),
  SUPPORT_EMAIL: emailSchema.default("support@caas.example"),
  BUSINESS_TIME_ZONE: z
    .string()
    .refine(isTimeZone, "must be a time zone of the IANA database, as Europe/Madrid")
    .default(defaultTimeZone),
  SEED_DEMO_CATALOG: flag.default(false),
  JOB_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(8),
  CAAS_BUSINESS_TIME: z
    .string()
    .refine(
      (text) => parseBusinessTime(text) !== undefined,
      "must read REAL/BUSINESS/SCALE with two ISO 8601 instants",
    )
    .optional(),
  CAAS_FAILPOINTS: z
    .string()
    .transform((text) => parseFailpoints(text))
    .refine((plan) => plan !== undefined, "must read place:passage, as hold-made-before-recorded:137")
    .optional(),
  LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
});

export type Config = z.infer<typeof schema>;

/** The names of all variables, for `.env.example` and the test that compares them. */
export const configurationKeys: readonly string[] = Object.keys(schema.shape);

/** Those without a default. */
export const requiredKeys: readonly string[] = Object.entries(schema.shape)
  .filter(([, variable]) => !variable.safeParse(undefined).success)
  .map(([name]) => name);

export type ConfigResult = { kind: "valid"; config: Config } | { kind: "invalid"; message: string };

/** @param environment for example `process.env`; an empty text counts as absent */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): ConfigResult {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, text]) => text !== undefined && text !== ""),
  );
  const parsed = schema.safeParse(given);
  return parsed.success
    ? { kind: "valid", config: parsed.data }
    : {
        kind: "invalid",
        message: [
          "the environment is incomplete or wrong (see --help; .env.example explains each variable):",
          ...explainVariables(parsed.error, given),
        ].join("\n  "),
      };
}
