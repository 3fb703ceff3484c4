import { type KeyObject, sign, verify } from "node:crypto";

// Ed25519 (RFC 8032), by the library that the program chose at its start. Both produce the same signatures at
// different cost.

export type Ed25519 = {
  name: "openssl" | "libsodium";
  /** 64 bytes. */
  sign(message: Buffer, privateKey: KeyObject): Buffer;
  /** `false` for anything that is no signature of these bytes by this key, wrong lengths included. */
  verify(message: Buffer, publicKey: KeyObject, signature: Buffer): boolean;
};

/** Node's own: nothing more to install or to hold in memory, so cars use it. */
export const openssl: Ed25519 = {
  name: "openssl",
  sign: (message, privateKey) => sign(null, message, privateKey),
  verify: (message, publicKey, signature) => verify(null, message, publicKey, signature),
};

let chosen: Ed25519 = openssl;

/** For the whole process; a program calls it once, in `main`, before it signs anything. */
export function chooseEd25519(library: Ed25519): void {
  chosen = library;
}

export function signBytes(message: Buffer, privateKey: KeyObject): Buffer {
  return chosen.sign(message, privateKey);
}

export function verifyBytes(message: Buffer, publicKey: KeyObject, signature: Buffer): boolean {
  return chosen.verify(message, publicKey, signature);
}
