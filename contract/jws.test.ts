import { createPublicKey, generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { CompactSign, calculateJwkThumbprint, compactVerify, importJWK } from "jose";
import { describe, expect, test } from "vitest";
import {
  exportPublicKey,
  importPublicKey,
  type JwsRefusal,
  maxJwsLength,
  type SigningKey,
  signingKeyFromPem,
  signJws,
  thumbprintOf,
  type VerifyingKey,
  verifyingKeyFrom,
  verifyJws,
  verifyJwsBy,
} from "./jws.ts";

function makeKey(): { signing: SigningKey; verifying: VerifyingKey; x: string } {
  const pem = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const signing = signingKeyFromPem(pem);
  const x = exportPublicKey(signing.privateKey);
  return { signing, verifying: verifyingKeyFrom(x), x };
}

const { signing, verifying, x } = makeKey();
const keyOf = (kid: string) => (kid === verifying.kid ? verifying : undefined);
const token = signJws("caas-report+jws", { seq: 1, text: "ñ€😀" }, signing);
const [header = "", payload = "", signature = ""] = token.split(".");
const encode = (value: object | string) =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

describe("interoperability with another implementation (RFC 7515, RFC 8037)", () => {
  test("jose verifies our signatures", async () => {
    const result = await compactVerify(token, createPublicKey(signing.privateKey));
    expect(result.protectedHeader).toEqual({ alg: "EdDSA", kid: signing.kid, typ: "caas-report+jws" });
    expect(JSON.parse(Buffer.from(result.payload).toString())).toEqual({ seq: 1, text: "ñ€😀" });
  });

  test("we verify signatures of jose", async () => {
    const signed = await new CompactSign(Buffer.from('{"seq":2}'))
      .setProtectedHeader({ alg: "EdDSA", typ: "caas-report+jws", kid: signing.kid })
      .sign(signing.privateKey);
    expect(verifyJws("caas-report+jws", signed, keyOf)).toEqual({
      kind: "verified",
      payload: { seq: 2 },
      kid: signing.kid,
    });
  });

  test("keys and thumbprints (RFC 7638) are the same", async () => {
    const jwk = { kty: "OKP", crv: "Ed25519", x };
    expect(thumbprintOf(x)).toBe(await calculateJwkThumbprint(jwk));
    await expect(importJWK(jwk, "EdDSA")).resolves.toBeDefined();
    expect(importPublicKey(x).export({ format: "jwk" })).toEqual(jwk);
  });

  test("any object is verified as it was signed", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        const result = verifyJws("caas-manifest+jws", signJws("caas-manifest+jws", object, signing), keyOf);
        expect(result).toEqual({
          kind: "verified",
          payload: { ...JSON.parse(JSON.stringify(object)) },
          kid: signing.kid,
        });
      }),
      { numRuns: 50 },
    );
  });
});

describe("refused tokens [fault 5, fault 8, fault 10]", () => {
  /** The last character of 64 bytes in base64url carries four spare bits: another spelling of the same bytes. */
  function respelled(part: string): string {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const other = alphabet.charAt(alphabet.indexOf(part.charAt(part.length - 1)) + 1);
    return part.slice(0, -1) + other;
  }
  const resign = (protectedHeader: string, body: string): string => {
    const made = signJws("caas-report+jws", { seq: 1 }, signing);
    return [protectedHeader, body, made.split(".")[2]].join(".");
  };
  const goodHeader = { alg: "EdDSA", kid: signing.kid, typ: "caas-report+jws" };

  test.each<{ attack: string; token: string; reason: JwsRefusal }>([
    {
      attack: "another channel's message",
      token: signJws("caas-display+jws", {}, signing),
      reason: "wrongType",
    },
    {
      attack: "no algorithm",
      token: resign(encode({ ...goodHeader, alg: "none" }), payload),
      reason: "wrongAlgorithm",
    },
    {
      attack: "a symmetric algorithm",
      token: resign(encode({ ...goodHeader, alg: "HS256" }), payload),
      reason: "wrongAlgorithm",
    },
    {
      attack: "a key inside the header",
      token: resign(encode({ ...goodHeader, jwk: {} }), payload),
      reason: "malformed",
    },
    {
      attack: "no kid",
      token: resign(encode({ alg: "EdDSA", typ: "caas-report+jws", crit: [] }), payload),
      reason: "unknownKey",
    },
    {
      attack: "an unknown key",
      token: signJws("caas-report+jws", {}, makeKey().signing),
      reason: "unknownKey",
    },
    {
      attack: "another payload",
      token: [header, encode({ seq: 2 }), signature].join("."),
      reason: "badSignature",
    },
    { attack: "another signature", token: resign(header, payload), reason: "badSignature" },
    { attack: "no signature", token: `${header}.${payload}.`, reason: "badSignature" },
    { attack: "two parts", token: `${header}.${payload}`, reason: "malformed" },
    { attack: "four parts", token: `${token}.`, reason: "malformed" },
    { attack: "a header that is no object", token: resign(encode("[1,2,3]"), payload), reason: "malformed" },
    { attack: "a header that is no JSON", token: resign(encode("alg=EdDSA"), payload), reason: "malformed" },
    { attack: "sloppy base64: padding", token: `${token}==`, reason: "malformed" },
    {
      attack: "sloppy base64: a line end",
      token: `${header}.${payload}\n.${signature}`,
      reason: "malformed",
    },
    {
      attack: "sloppy base64: the other alphabet",
      token: `${header}.${payload}.${signature.slice(0, -3)}+/A`,
      reason: "malformed",
    },
    {
      attack: "sloppy base64: another spelling of the same signature",
      token: `${header}.${payload}.${respelled(signature)}`,
      reason: "malformed",
    },
    { attack: "nothing", token: "", reason: "malformed" },
    { attack: "a text that is too long", token: "x".repeat(maxJwsLength + 1), reason: "tooLarge" },
  ])("$attack: $reason", (row) => {
    expect(verifyJws("caas-report+jws", row.token, keyOf)).toEqual({ kind: "refused", reason: row.reason });
  });

  test("the respelled signature is one that other decoders take for the same bytes", () => {
    expect(Buffer.from(respelled(signature), "base64url")).toEqual(Buffer.from(signature, "base64url"));
  });

  test("a signed text that is no object is refused all the same", async () => {
    const signed = await new CompactSign(Buffer.from("[1]"))
      .setProtectedHeader(goodHeader)
      .sign(signing.privateKey);
    expect(verifyJws("caas-report+jws", signed, keyOf)).toEqual({ kind: "refused", reason: "malformed" });
  });

  test("any one changed bit is refused", () => {
    const bytes = Buffer.from(token);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(6), (at, bit) => {
        const changed = Buffer.from(bytes);
        changed.writeUInt8(changed.readUInt8(at) ^ (1 << bit), at);
        expect(verifyJws("caas-report+jws", changed.toString("latin1"), keyOf).kind).toBe("refused");
      }),
    );
  });

  test("keys that are none are refused with an error", () => {
    expect(() => importPublicKey("short")).toThrow();
    const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    expect(() => signingKeyFromPem(ec.export({ type: "pkcs8", format: "pem" }).toString())).toThrow();
  });
});

describe("a token of one key alone", () => {
  test("is judged as by the general check, however it was altered", () => {
    const parts = token.split(".");
    const stranger = makeKey();
    const changed = fc.oneof(
      fc.constantFrom(
        token,
        "",
        ".",
        "..",
        `${token}.`,
        `${token}.x`,
        `${token}=`,
        parts.slice(0, 2).join("."),
        `${header}..${signature}`,
        `${header}.${payload}.`,
        signJws("caas-report+jws", { seq: 1 }, stranger.signing),
        signJws("caas-keys+jws", { seq: 1 }, signing),
        `${encode({ typ: "caas-report+jws", kid: signing.kid, alg: "EdDSA" })}.${payload}.${signature}`,
        "x".repeat(maxJwsLength + 1),
        `${header}.${"x".repeat(maxJwsLength)}.${signature}`,
      ),
      fc.tuple(fc.nat(token.length - 1), fc.constantFrom(..."AZaz09-_.=+/ ")).map(([at, character]) => {
        return `${token.slice(0, at)}${character}${token.slice(at + 1)}`;
      }),
    );
    fc.assert(
      fc.property(changed, (text) => {
        expect(verifyJwsBy("caas-report+jws", text, verifying)).toEqual(
          verifyJws("caas-report+jws", text, keyOf),
        );
      }),
      { numRuns: 500 },
    );
  });
});
