import type { KeyObject } from "node:crypto";
import { chooseEd25519, type Ed25519 } from "./ed25519.ts";

// OpenSSL's Ed25519 is portable C on 32-bit limbs; libsodium's uses 64-bit limbs and takes 0.42 of the time to verify
// and 0.45 to sign. It is for programs that do this thousands of times per second; cars do not use it.

const signatureLength = 64;

/**
 * Makes this process use libsodium if its optional package is installed for this platform; otherwise OpenSSL stays in
 * use.
 *
 * @returns the name of the library in use, for the log
 */
export async function preferLibsodium(): Promise<Ed25519["name"]> {
  const library = await loadLibsodium();
  if (library === null) return "openssl";
  chooseEd25519(library);
  return library.name;
}

/** `null` where the package is not installed or has no build for this platform. */
export async function loadLibsodium(): Promise<Ed25519 | null> {
  const sodium = await import("sodium-native").then(
    (module) => module.default,
    () => null,
  );
  if (sodium === null) return null;
  // The library needs raw bytes. They are extracted from a key once, and kept as long as the key.
  const secretKeys = new WeakMap<KeyObject, Buffer>();
  const publicKeys = new WeakMap<KeyObject, Buffer>();
  return {
    name: "libsodium",
    sign(message, privateKey) {
      let key = secretKeys.get(privateKey);
      if (key === undefined) {
        key = secretKeyOf(privateKey);
        secretKeys.set(privateKey, key);
      }
      const signature = Buffer.allocUnsafe(signatureLength);
      sodium.crypto_sign_detached(signature, message, key);
      return signature;
    },
    verify(message, publicKey, signature) {
      if (signature.length !== signatureLength) return false;
      let key = publicKeys.get(publicKey);
      if (key === undefined) {
        key = publicKeyOf(publicKey);
        publicKeys.set(publicKey, key);
      }
      return sodium.crypto_sign_verify_detached(signature, message, key);
    },
  };
}

/** In libsodium's form: the seed, then the public key. */
function secretKeyOf(privateKey: KeyObject): Buffer {
  const { crv, d, x } = privateKey.export({ format: "jwk" });
  if (crv !== "Ed25519" || d === undefined || x === undefined) throw new Error("not an Ed25519 private key");
  return Buffer.concat([Buffer.from(d, "base64url"), Buffer.from(x, "base64url")]);
}

function publicKeyOf(publicKey: KeyObject): Buffer {
  const { crv, x } = publicKey.export({ format: "jwk" });
  if (crv !== "Ed25519" || x === undefined) throw new Error("not an Ed25519 public key");
  return Buffer.from(x, "base64url");
}
