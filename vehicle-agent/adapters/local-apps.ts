import { createHash, timingSafeEqual } from "node:crypto";
import { parseJson } from "@caas/contract/parse-json.ts";
import { telemetrySchema } from "@caas/contract/telemetry.ts";
import * as z from "zod";

// Permissions of apps on the car's local port: default deny.

const signalNames = telemetrySchema.shape.signals.keyType;
export type SignalName = z.infer<typeof signalNames>;

const appSchema = z.strictObject({
  /** User name and client id. */
  name: z.string().regex(/^[a-z0-9-]{1,23}$/),
  /** SHA-256 of its password, base64url: the file contains nothing that opens the port. */
  passwordSha256: z.string().length(43),
  /** Codes of the entries it receives. */
  reads: z.array(z.string().min(1).max(64)).default([]),
  /** Readings it provides. */
  gives: z.array(signalNames).default([]),
  mayLock: z.boolean().default(false),
  /** Whether it shows the car's notices and its linking code. */
  isDisplay: z.boolean().default(false),
});
export type LocalApp = z.infer<typeof appSchema>;

export const localAppsSchema = z.strictObject({
  apps: z
    .array(appSchema)
    .max(64)
    .refine((apps) => new Set(apps.map(({ name }) => name)).size === apps.length, "a name occurs twice"),
});

const prefix = "car/v1/";
/** The topics of the local port, all under `car/v1/`. */
export const localTopics = {
  /** Retained: `{"version","hash","codes"}` of the active configuration. */
  active: `${prefix}active`,
  /** Retained, one per code: the entries of that code, as JSON array; empty when there are none. */
  configuration: (code: string) => `${prefix}configuration/${encodeURIComponent(code)}`,
  /** From an app: the current reading, as JSON value. */
  signal: (name: SignalName) => `${prefix}signals/${name}`,
  /** From an app: `{"seconds": 1 to 3600}`. */
  lockRequest: `${prefix}lock/request`,
  /** From the app that holds it; without content. */
  lockRelease: `${prefix}lock/release`,
  /** Retained: `{"heldBy": [names]}`. */
  lock: `${prefix}lock`,
  /** Retained: the messages on the screen, newest first, as JSON array. */
  display: `${prefix}display`,
} as const;

export function isAppsPassword(app: LocalApp, password: Buffer | undefined): boolean {
  const given = createHash("sha256")
    .update(password ?? "")
    .digest();
  const right = Buffer.from(app.passwordSha256, "base64url");
  return right.length === given.length && timingSafeEqual(right, given);
}

export function maySubscribe(app: LocalApp, topic: string): boolean {
  if (topic === localTopics.active || topic === localTopics.lock) return true;
  if (topic === localTopics.display) return app.isDisplay;
  return app.reads.some((code) => topic === localTopics.configuration(code));
}

/** The meaning of an app's publish; `null` where it is not allowed or malformed. */
export type AppRequest =
  | { kind: "signal"; name: SignalName; value: number | boolean | string }
  | { kind: "lock"; seconds: number }
  | { kind: "release" };

const lockSchema = z.strictObject({ seconds: z.int().min(1).max(3600) });

export function readAppRequest(app: LocalApp, topic: string, payload: string): AppRequest | null {
  if (topic === localTopics.lockRelease) return app.mayLock ? { kind: "release" } : null;
  const content = parseJson(payload);
  if (topic === localTopics.lockRequest) {
    const parsed = lockSchema.safeParse(content);
    return app.mayLock && parsed.success ? { kind: "lock", ...parsed.data } : null;
  }
  const name = app.gives.find((given) => topic === localTopics.signal(given));
  if (name === undefined) return null;
  const value = telemetrySchema.shape.signals.valueType.safeParse(content);
  return value.success ? { kind: "signal", name, value: value.data } : null;
}
