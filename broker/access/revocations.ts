import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { type VerifyingKey, verifyingKeyFrom } from "@caas/contract/jws.ts";
import { keysValidAt, verifyKeySet } from "@caas/contract/key-set.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import {
  type Revocation,
  type RevocationList,
  revocationMessageSchema,
  verifyRevocationList,
} from "@caas/contract/revocation-list.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { Logger } from "pino";
import * as z from "zod";
import type { Metrics } from "../metrics.ts";

// The cars and certificates that the fleet's owner has revoked. The broker trusts the pinned root, not the connection
// that a list comes over.

export type Revocations = {
  /** Whether this car is revoked; over TLS by the serial number of its certificate too. */
  isRevoked(vin: Vin, serialNumber: string | undefined): boolean;
  /** Takes one published part. @returns `true` when a new list came into force with it */
  take(payload: string): boolean;
  /** Reads the list that an earlier run stored, if there is a folder with one. */
  load(): Promise<void>;
  /** Resolves when every list in force is on disk. */
  settled(): Promise<void>;
};

const fileName = "revocations.json";
/** The messages as they came: a stored list is verified like one from the network. */
const fileSchema = z.strictObject({ parts: z.array(z.string()) });
/** Incomplete lists at once; replicas of the control plane may send at the same moment. */
const maxUnfinished = 4;

type Taken = { list: RevocationList; keySetVersion: number };
type Unfinished = { parts: Map<number, { list: RevocationList; payload: string }> };

export function createRevocations(options: {
  /** Raw Ed25519 key of the root, base64url; without it no list can be verified, and none is believed. */
  rootPublicKey: string | undefined;
  stateDir: string | undefined;
  now: () => Date;
  metrics: Metrics;
  log: Logger;
  /** A list came into force; its parts as they came. */
  onForce?(parts: readonly string[]): void;
}): Revocations {
  const { stateDir, now, metrics, log } = options;
  const root = options.rootPublicKey === undefined ? undefined : verifyingKeyFrom(options.rootPublicKey);
  const inForce = { version: 0, issuedAtMs: 0, cars: new Set<string>(), certificates: new Set<string>() };
  const unfinished = new Map<string, Unfinished>();
  let keySetVersion = 0;
  let writing: Promise<void> = Promise.resolve();

  function verifyPart(
    payload: string,
    trustedRoot: VerifyingKey,
    at: Date | undefined,
  ): Taken | "older" | "forged" | "malformed" {
    const message = revocationMessageSchema.safeParse(parseJson(payload));
    if (!message.success) return "malformed";
    // Not older than the newest set seen: an older one would bring a retired key back.
    const verified = verifyKeySet(message.data.keySet, trustedRoot, keySetVersion);
    if (verified.kind === "refused") return verified.reason === "untrusted" ? "forged" : verified.reason;
    const { keySet } = verified;
    const keys =
      at === undefined
        ? new Map(keySet.keys.map(({ x }) => [verifyingKeyFrom(x).kid, verifyingKeyFrom(x)]))
        : keysValidAt(keySet, at);
    const part = verifyRevocationList(message.data.list, (kid) => keys.get(kid));
    if (part.kind === "refused") return part.reason;
    const { version, issuedAt } = part.list;
    const isOlder =
      version < inForce.version || (version === inForce.version && Date.parse(issuedAt) < inForce.issuedAtMs);
    return isOlder ? "older" : { list: part.list, keySetVersion: keySet.version };
  }

  /** The list's parts, once all of them are there. */
  function complete(list: RevocationList, payload: string): Unfinished | undefined {
    const name = `${list.version}|${list.issuedAt}|${list.parts}`;
    const begun = unfinished.get(name) ?? { parts: new Map() };
    begun.parts.set(list.part, { list, payload });
    unfinished.set(name, begun);
    const [oldest] = unfinished.keys();
    if (unfinished.size > maxUnfinished && oldest !== undefined) unfinished.delete(oldest);
    if (begun.parts.size < list.parts) return undefined;
    unfinished.delete(name);
    return begun;
  }

  function enforce(lists: readonly RevocationList[]): void {
    const [first] = lists;
    if (first === undefined) return;
    const revoked: Revocation[] = lists.flatMap((list) => list.revoked);
    inForce.version = first.version;
    inForce.issuedAtMs = Date.parse(first.issuedAt);
    inForce.cars = new Set(revoked.filter((one) => one.serialNumber === null).map((one) => one.vin));
    inForce.certificates = new Set(
      revoked.filter((one) => one.serialNumber !== null).map((one) => `${one.vin}|${one.serialNumber}`),
    );
    metrics.revocationsInForce(first.version, revoked.length);
    log.info({ version: first.version, entries: revoked.length }, "revocation list in force");
  }

  function takeVerified(payload: string, at: Date | undefined): boolean {
    if (root === undefined) {
      metrics.revocationsReceived("unverifiable");
      log.error("a revocation list arrived, but no root public key is configured to verify it");
      return false;
    }
    const taken = verifyPart(payload, root, at);
    if (typeof taken === "string") {
      metrics.revocationsReceived(taken);
      log.warn({ reason: taken }, "revocation list refused");
      return false;
    }
    keySetVersion = taken.keySetVersion;
    const whole = complete(taken.list, payload);
    if (whole === undefined) {
      metrics.revocationsReceived("incomplete");
      return false;
    }
    metrics.revocationsReceived("accepted");
    const parts = [...whole.parts.values()];
    enforce(parts.map(({ list }) => list));
    const payloads = parts.map((part) => part.payload);
    options.onForce?.(payloads);
    if (stateDir !== undefined && at !== undefined) keep(stateDir, payloads);
    return true;
  }

  function keep(folder: string, parts: readonly string[]): void {
    writing = writing
      .then(() => writeWhole(folder, JSON.stringify({ parts })))
      .catch((error: unknown) => {
        metrics.brokerErred();
        log.error(
          { err: error },
          "the revocation list could not be kept; it is in force until the next start",
        );
      });
  }

  return {
    isRevoked: (vin, serialNumber) =>
      inForce.cars.has(vin) ||
      (serialNumber !== undefined && inForce.certificates.has(`${vin}|${serialNumber}`)),
    take: (payload) => takeVerified(payload, now()),
    async load() {
      if (stateDir === undefined || root === undefined) return;
      const text = await readIfThere(join(stateDir, fileName));
      if (text === undefined) return;
      const kept = fileSchema.safeParse(parseJson(text));
      // Stored with keys valid at that time: time passed since must not let a revoked car in.
      const isWhole = kept.success && kept.data.parts.map((part) => takeVerified(part, undefined)).at(-1);
      if (isWhole !== true)
        log.error("the stored revocation list is damaged; waiting for the control plane's");
    },
    settled: () => writing,
  };
}

async function writeWhole(folder: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, fileName);
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
