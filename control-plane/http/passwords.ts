import { createHash, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { createHashingQueue } from "./hashing-queue.ts";

// People choose weak passwords, so those are hashed with scrypt. The one-time password of a sale is 192 random
// bits: guessing it is hopeless, and a plain SHA-256 spares the sales desk 70 ms per customer.

/** Chosen passwords of all requests of this process. */
const hashInTurn = createHashingQueue();

const generated = /^caas-[A-Za-z0-9_-]{32}$/;

export function generatePassword(): string {
  return `caas-${randomBytes(24).toString("base64url")}`;
}

export function isGeneratedPassword(password: string): boolean {
  return generated.test(password);
}

const scryptCost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };

function deriveScrypt(password: string, salt: Buffer): Promise<Buffer> {
  return hashInTurn(
    () =>
      new Promise((resolve, reject) => {
        scrypt(password.normalize("NFKC"), salt, 32, scryptCost, (error, key) =>
          error ? reject(error) : resolve(key),
        );
      }),
  );
}

/** @throws HashingBusy */
export async function hashPassword(password: string): Promise<string> {
  if (isGeneratedPassword(password))
    return `sha256$${createHash("sha256").update(password).digest("base64url")}`;
  const salt = randomBytes(16);
  return `scrypt$${salt.toString("base64url")}$${(await deriveScrypt(password, salt)).toString("base64url")}`;
}

/**
 * Takes as long as `hashPassword` of the same candidate would, whatever is stored: better-auth hashes the
 * candidate when there is no such user, so the time does not reveal which users exist.
 * @throws HashingBusy
 */
export async function verifyPassword(hash: string, password: string): Promise<boolean> {
  const [scheme, first, second] = hash.split("$");
  if (isGeneratedPassword(password)) {
    const given = createHash("sha256").update(password).digest();
    return scheme === "sha256" && first !== undefined && isSame(Buffer.from(first, "base64url"), given);
  }
  // A password that a person chose never has the form of a generated one, so it can only match a scrypt hash.
  const isChosen = scheme === "scrypt" && first !== undefined && second !== undefined;
  const given = await deriveScrypt(password, isChosen ? Buffer.from(first, "base64url") : randomBytes(16));
  return isChosen && isSame(Buffer.from(second, "base64url"), given);
}

function isSame(expected: Buffer, given: Buffer): boolean {
  return expected.length === given.length && timingSafeEqual(expected, given);
}
