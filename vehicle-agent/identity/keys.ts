import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readIntact } from "../storage/read-intact.ts";
import type { AgentStorage } from "../storage/storage.ts";

// A car has two separate keys: one for the link, one that signs its reports. Neither leaves the car.

/** Both as PKCS#8 PEM. */
/** The names of the car's keys among the stored texts. */
export const tlsKeyName = "keys/tls.pem";
export const proofKeyName = "keys/proof.pem";

export type CarKeys = { tlsKeyPem: string; proofKeyPem: string };

function toPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

export function makeTlsKey(): string {
  return toPem(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
}

export function makeCarKeys(): CarKeys {
  return {
    tlsKeyPem: makeTlsKey(),
    proofKeyPem: toPem(generateKeyPairSync("ed25519").privateKey),
  };
}

/** SubjectPublicKeyInfo PEM of the TLS key. */
export function tlsPublicKeyOf(tlsKeyPem: string): string {
  return createPublicKey(createPrivateKey(tlsKeyPem)).export({ type: "spki", format: "pem" }).toString();
}

/**
 * The car's keys, made on first use. They are durable before they are used, so an interrupted enrolment continues
 * with the keys the control plane may already know.
 */
export async function ensureCarKeys(storage: AgentStorage): Promise<CarKeys> {
  const made = makeCarKeys();
  return {
    tlsKeyPem: await ensureKey(storage, tlsKeyName, made.tlsKeyPem),
    proofKeyPem: await ensureKey(storage, proofKeyName, made.proofKeyPem),
  };
}

/** @throws when the text is no private key */
export function checkedPem(pem: string): string {
  createPrivateKey(pem);
  return pem;
}

async function ensureKey(storage: AgentStorage, name: string, fresh: string): Promise<string> {
  const known = await readIntact(storage, name, checkedPem);
  if (known !== null) return known;
  await storage.write(name, fresh);
  return fresh;
}
