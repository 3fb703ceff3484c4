import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import { enrol } from "@caas/vehicle-agent/identity/enrol.ts";
import { keySetFileName, type StoredIdentity, saveIdentity } from "@caas/vehicle-agent/identity/identity.ts";
import type { AgentStorage } from "@caas/vehicle-agent/storage/storage.ts";
import { forEachAtOnce } from "../run/pace.ts";

/** A car that is enrolled already: its rows are in the database, its keys were made elsewhere. */
export type CarCredentials = StoredIdentity & {
  /** Both PKCS #8 PEM. */
  tlsKeyPem: string;
  proofKeyPem: string;
  /** Signed key set (compact JWS). */
  keySet: string;
};

/** Writes into an empty storage what enrolment would have written. */
export async function installCredentials(storage: AgentStorage, credentials: CarCredentials): Promise<void> {
  const { tlsKeyPem, proofKeyPem, keySet, ...identity } = credentials;
  await storage.write("keys/tls.pem", tlsKeyPem);
  await storage.write("keys/proof.pem", proofKeyPem);
  await storage.write(keySetFileName, keySet);
  await saveIdentity(storage, identity);
}

/** Requests that wait for the control plane at the same time; each costs it a signature and a transaction. */
const enrolledAtOnce = 16;

/**
 * Enrols cars over HTTP with keys of their own; a storage that is enrolled already stays as it is.
 * @throws Error naming the first car that the control plane refused or did not answer; the remaining cars are not enrolled then.
 */
export async function enrolAll(
  cars: readonly { storage: AgentStorage; package: EnrolmentPackage }[],
  random: () => number,
): Promise<void> {
  const failures: string[] = [];
  await forEachAtOnce(cars, enrolledAtOnce, async ({ storage, package: given }) => {
    if (failures.length > 0) return;
    const result = await enrol({ package: given, storage, random });
    if (result.kind !== "enrolled") failures.push(`${given.vin} was not enrolled: ${result.detail}`);
  });
  const [failure] = failures;
  if (failure !== undefined) throw new Error(failure);
}
