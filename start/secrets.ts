import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { wordsOf } from "@caas/simulator/command/run.ts";
import * as z from "zod";
import { StartRefused } from "./ports.ts";

const secretsSchema = z.strictObject({
  SESSION_SECRET: z.string().min(32),
  ENROLMENT_SECRET: z.string().min(32),
  BROKER_CAR_SECRET: z.string().min(32),
  BROKER_CONTROL_PLANE_PASSWORD: z.string().min(16),
  FACTORY_API_KEY: z.string().min(8),
  FACTORY_WEBHOOK_SECRET: z.string().min(32),
  GATEWAY_API_KEY: z.string().min(8),
  GATEWAY_WEBHOOK_SECRET: z.string().min(32),
  VSS_API_KEY: z.string().min(8),
  AUTHORITY_API_KEY: z.string().min(8),
  TRANSPORT_API_KEY: z.string().min(8),
  TRANSPORT_WEBHOOK_SECRET: z.string().min(32),
  staffPasswords: z.strictObject({ admin: z.string(), sales: z.string(), support: z.string() }),
});

export type Secrets = z.infer<typeof secretsSchema>;

/**
 * What the parts of one installation share, made on the first start and kept in `<dataDir>/secrets.json` (0600).
 * @throws StartRefused when the file is there and not ours to read
 */
export function openSecrets(dataDir: string): Secrets {
  const path = join(dataDir, "secrets.json");
  if (existsSync(path)) return readSecrets(path);
  const secrets = makeSecrets();
  // Written completely before it gets its name: a start that is killed here leaves no partial file.
  const draft = `${path}.draft`;
  writeFileSync(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
  chmodSync(draft, 0o600);
  renameSync(draft, path);
  return secrets;
}

function readSecrets(path: string): Secrets {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const why = wordsOf(error);
    throw new StartRefused(`${path} cannot be read (${why}). Restore it, or choose another data folder.`);
  }
  const parsed = secretsSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join(".") || "the whole file").join(", ");
  throw new StartRefused(
    `${path} is not as it was written (${fields}). Restore it, or choose another data folder.`,
  );
}

function makeSecrets(): Secrets {
  const random = () => randomBytes(32).toString("base64url");
  // The form of the Standard Webhooks specification: base64 behind a prefix.
  const webhookSecret = () => `whsec_${randomBytes(32).toString("base64")}`;
  return {
    SESSION_SECRET: random(),
    ENROLMENT_SECRET: random(),
    BROKER_CAR_SECRET: random(),
    BROKER_CONTROL_PLANE_PASSWORD: random(),
    FACTORY_API_KEY: random(),
    FACTORY_WEBHOOK_SECRET: webhookSecret(),
    GATEWAY_API_KEY: `sk_test_${randomBytes(24).toString("hex")}`,
    GATEWAY_WEBHOOK_SECRET: `whsec_${randomBytes(32).toString("hex")}`,
    VSS_API_KEY: random(),
    AUTHORITY_API_KEY: random(),
    TRANSPORT_API_KEY: random(),
    TRANSPORT_WEBHOOK_SECRET: webhookSecret(),
    staffPasswords: { admin: makePassword(), sales: makePassword(), support: makePassword() },
  };
}

/** To be typed from a screen: 80 bits in groups of four. */
function makePassword(): string {
  const letters = "abcdefghijkmnpqrstuvwxyz23456789";
  const drawn = [...randomBytes(16)].map((byte) => letters[byte % letters.length]).join("");
  return drawn.replaceAll(/(.{4})(?=.)/g, "$1-");
}
