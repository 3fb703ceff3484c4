#!/usr/bin/env node
import { parseArgs } from "node:util";
import { businessClockFrom, type Clock } from "@caas/contract/business-clock.ts";
import type { KeySet } from "@caas/contract/key-set.ts";
import { openCertificateAuthority } from "./fleet-link/certificate-authority.ts";
import { prepareKeyFolder } from "./fleet-link/key-folder.ts";
import { openKeyRing, readKeyFolder } from "./fleet-link/key-ring.ts";
import { listSecretFiles, protectSecrets } from "./fleet-link/protect-secrets.ts";
import { graceDays, revokeKey, rotateKeys } from "./fleet-link/rotate-keys.ts";
import { adoptTrustRoot } from "./fleet-link/trust-root.ts";
import { openDatabase } from "./store/database.ts";

const help = `caas-keys: the keys that sign what cars are told

  caas-keys init          makes what the folder lacks: root, signing key, key set, certificate authority
  caas-keys rotate        a new key signs from now on; the old one verifies for ${graceDays} days more
  caas-keys revoke KID    takes a key out of the set at once; of the current key, a new one takes its place
  caas-keys show          the key set
  caas-keys adopt         begins anew on purpose: the database at DATABASE_URL takes this folder's keys for those that
                          cars trust, and every car needs a new enrolment package
  caas-keys --help        this text

A running control plane takes the new set over within a second or two, sends it to every car that is online and,
before their next manifest, to the others. Each command prints the set in force, as JSON.

Environment
  KEYS_DIR            the control plane's key folder
  DATABASE_URL        the control plane's database; for adopt only
  CAAS_BUSINESS_TIME  as the control plane's
`;

const usageError = 2;

async function main(): Promise<void> {
  const commandLine = readCommandLine();
  if (commandLine === null) return;
  const { values, positionals } = commandLine;
  if (values.help) return void process.stdout.write(help);
  const [command, kid, ...rest] = positionals;
  const folder = process.env.KEYS_DIR;
  if (folder === undefined || folder === "") return fail("KEYS_DIR must be set (see --help)", usageError);
  if (rest.length > 0 || (kid !== undefined && command !== "revoke"))
    return fail("too many words", usageError);
  const clock = businessClockFrom(process.env.CAAS_BUSINESS_TIME || undefined);
  const work = workOf(command, kid, folder, clock);
  if (work === undefined)
    return fail("say one of init, rotate, revoke KID, show, adopt; --help explains them", usageError);
  for (const mended of await protectSecrets(await listSecretFiles(folder)))
    process.stderr.write(`caas-keys: ${mended}\n`);
  const keySet = await work();
  process.stdout.write(`${JSON.stringify({ current: keySet.keys[0]?.kid, ...keySet }, null, 2)}\n`);
}

function readCommandLine() {
  try {
    return parseArgs({
      options: { help: { type: "boolean", short: "h", default: false } },
      allowPositionals: true,
    });
  } catch (error) {
    fail(`${error instanceof Error ? error.message : String(error)} (see --help)`, usageError);
    return null;
  }
}

function workOf(
  command: string | undefined,
  kid: string | undefined,
  folder: string,
  clock: Clock,
): (() => Promise<KeySet>) | undefined {
  switch (command) {
    case "init":
      return async () => {
        await prepareKeyFolder(folder, clock);
        return (await readKeyFolder(folder)).keySet;
      };
    case "rotate":
      return () => rotateKeys(folder, clock);
    case "revoke":
      return kid === undefined ? undefined : () => revokeKey(folder, clock, kid);
    case "adopt":
      return async () => {
        const url = process.env.DATABASE_URL;
        if (url === undefined || url === "") throw new Error("DATABASE_URL: is not set");
        return adopt(folder, url, clock);
      };
    case "show":
      return async () => (await readKeyFolder(folder)).keySet;
    default:
      return undefined;
  }
}

async function adopt(folder: string, databaseUrl: string, clock: Clock): Promise<KeySet> {
  const { keySet, rootPublicKey } = await openKeyRing(folder, clock);
  const { caCertificate } = await openCertificateAuthority(folder, clock);
  const { db, close } = openDatabase(databaseUrl, 1, () => undefined);
  try {
    await adoptTrustRoot(db, { rootPublicKey, caCertificate }, clock.now());
  } finally {
    await close();
  }
  return keySet;
}

function fail(message: string, code: number): void {
  process.stderr.write(`caas-keys: ${message}\n`);
  process.exitCode = code;
}

if (import.meta.main)
  await main().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error), 1));
