import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { chooseEd25519, type Ed25519, openssl, signBytes, verifyBytes } from "./ed25519.ts";
import { importPublicKey, signingKeyFromPem, signJws, verifyingKeyFrom, verifyJwsBy } from "./jws.ts";
import { loadLibsodium } from "./libsodium.ts";

const libsodium = await loadLibsodium();
const libraries: Ed25519[] = libsodium === null ? [openssl] : [openssl, libsodium];

/** RFC 8032, section 7.1: tests 1 to 3. */
const vectors = [
  {
    seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    message: "",
    signature:
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  },
  {
    seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    message: "72",
    signature:
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  },
  {
    seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    message: "af82",
    signature:
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  },
].map(({ seed, publicKey, message, signature }) => ({
  privateKey: privateKeyFrom(seed),
  publicKey: importPublicKey(Buffer.from(publicKey, "hex").toString("base64url")),
  message: Buffer.from(message, "hex"),
  signature: Buffer.from(signature, "hex"),
}));

/** PKCS#8 of a raw seed (RFC 8410, section 7). */
function privateKeyFrom(seed: string): KeyObject {
  const der = Buffer.from(`302e020100300506032b657004220420${seed}`, "hex").toString("base64");
  return signingKeyFromPem(`-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`).privateKey;
}

afterEach(() => chooseEd25519(openssl));

if (libsodium === null)
  test("Ed25519 by libsodium", (context) => {
    context.skip("sodium-native is not installed or has no build for this platform");
  });

describe.each(libraries)("Ed25519 by $name", (library) => {
  test.each(vectors)("gives the signature of RFC 8032 and accepts it", (vector) => {
    expect(library.sign(vector.message, vector.privateKey)).toEqual(vector.signature);
    expect(library.verify(vector.message, vector.publicKey, vector.signature)).toBe(true);
  });

  test.each(vectors)("refuses each single bit changed, in signature and message [fault 5]", (vector) => {
    for (let bit = 0; bit < 512; bit += 1) {
      const changed = Buffer.from(vector.signature);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(library.verify(vector.message, vector.publicKey, changed)).toBe(false);
    }
    const longer = Buffer.concat([vector.message, Buffer.from([0])]);
    expect(library.verify(longer, vector.publicKey, vector.signature)).toBe(false);
  });

  test("refuses a signature of another length, an empty one, and one by another key", () => {
    const [first, second] = vectors;
    if (first === undefined || second === undefined) throw new Error("no vectors");
    for (const signature of [
      Buffer.alloc(0),
      first.signature.subarray(0, 63),
      Buffer.concat([first.signature, Buffer.from([0])]),
    ])
      expect(library.verify(first.message, first.publicKey, signature)).toBe(false);
    expect(library.verify(first.message, second.publicKey, first.signature)).toBe(false);
  });

  test("refuses the second spelling of a signature, S + L (RFC 8032, section 5.1.7)", () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    for (const vector of vectors) {
      const s = BigInt(`0x${Buffer.from(vector.signature.subarray(32)).reverse().toString("hex")}`) + order;
      const respelled = Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse();
      const signature = Buffer.concat([vector.signature.subarray(0, 32), respelled]);
      expect(library.verify(vector.message, vector.publicKey, signature)).toBe(false);
    }
  });

  test("signs and verifies tokens once a program has chosen it, and the other library takes them", () => {
    const { privateKey } = generateKeyPairSync("ed25519");
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const signing = signingKeyFromPem(pem);
    const { x } = signing.privateKey.export({ format: "jwk" });
    if (x === undefined) throw new Error("no public key");
    chooseEd25519(library);
    const token = signJws("caas-report+jws", { seq: 7 }, signing);
    for (const other of libraries) {
      chooseEd25519(other);
      const result = verifyJwsBy("caas-report+jws", token, verifyingKeyFrom(x));
      expect(result).toMatchObject({ kind: "verified", payload: { seq: 7 } });
    }
    const bytes = Buffer.from("bytes");
    expect(verifyBytes(bytes, verifyingKeyFrom(x).publicKey, signBytes(bytes, signing.privateKey))).toBe(
      true,
    );
  });
});
