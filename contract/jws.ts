import { createPrivateKey, createPublicKey, hash, type KeyObject } from "node:crypto";
import { signBytes, verifyBytes } from "./ed25519.ts";
import { parseJson } from "./parse-json.ts";

// Compact JWS (RFC 7515) with Ed25519 (RFC 8037), implemented here: three times as fast as a general library, and it
// accepts exactly one algorithm, one form and one text per token.

export type JwsType =
  | "caas-keys+jws"
  | "caas-manifest+jws"
  | "caas-report+jws"
  | "caas-display+jws"
  | "caas-display-ack+jws"
  | "caas-revocations+jws";

export type SigningKey = { kid: string; privateKey: KeyObject };
export type VerifyingKey = { kid: string; publicKey: KeyObject };

export type JwsRefusal =
  | "malformed" /* not three canonical base64url parts of JSON objects */
  | "wrongType" /* `typ` is not the one this channel carries */
  | "wrongAlgorithm" /* `alg` is not EdDSA */
  | "unknownKey" /* no key of that `kid` is trusted */
  | "badSignature"
  | "tooLarge";

export type JwsResult =
  | { kind: "verified"; payload: unknown; kid: string }
  | { kind: "refused"; reason: JwsRefusal };

/** A broker forwards packets up to 64 KiB; a longer text is refused unread. */
export const maxJwsLength = 65_536;

function encode(value: string | Buffer): string {
  return Buffer.from(value).toString("base64url");
}

/** Strict: a second spelling of the same bytes is refused, so a token's text may identify it. */
function decode(part: string): Buffer | null {
  const bytes = Buffer.from(part, "base64url");
  return bytes.toString("base64url") === part ? bytes : null;
}

function parseObject(bytes: Buffer): Record<string, unknown> | null {
  const value = parseJson(bytes.toString("utf8"));
  return isObject(value) ? value : null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

const headerCache = new Map<string, string>();

/** The protected header as we write it, encoded: one text for one type and key. */
export function headerOf(typ: JwsType, kid: string): string {
  const name = `${typ}|${kid}`;
  const known = headerCache.get(name);
  if (known !== undefined) return known;
  const header = encode(JSON.stringify({ alg: "EdDSA", kid, typ }));
  // Bounded: for the few keys that sign in one process; headers of a whole fleet are made each time.
  if (headerCache.size < 256) headerCache.set(name, header);
  return header;
}

export function signJws(typ: JwsType, payload: object, key: SigningKey): string {
  return signJwsText(typ, JSON.stringify(payload), key);
}

/** The same for an object that is JSON text already. */
export function signJwsText(typ: JwsType, payload: string, key: SigningKey): string {
  const signed = `${headerOf(typ, key.kid)}.${encode(payload)}`;
  return `${signed}.${signBytes(Buffer.from(signed, "latin1"), key.privateKey).toString("base64url")}`;
}

/** Parsed headers of valid signatures, so that forged tokens cannot fill it. */
const provedHeaders = new Map<string, Record<string, unknown>>();

function readHeader(part: string): Record<string, unknown> | null {
  const bytes = decode(part);
  const header = bytes === null ? null : parseObject(bytes);
  return header === null || Object.keys(header).length !== 3 ? null : header;
}

/**
 * Verifies a compact JWS of type `typ` against the key that `keyOf` trusts for its `kid`.
 * The payload is returned unparsed: the caller's schema says what it must hold.
 */
export function verifyJws(
  typ: JwsType,
  token: string,
  keyOf: (kid: string) => VerifyingKey | undefined,
): JwsResult {
  const refuse = (reason: JwsRefusal): JwsResult => ({ kind: "refused", reason });
  if (token.length > maxJwsLength) return refuse("tooLarge");
  const headerEnd = token.indexOf(".");
  const payloadEnd = token.lastIndexOf(".");
  // Exactly two dots: a third would be one of the payload's characters, which is no base64url.
  if (headerEnd < 0 || payloadEnd === headerEnd) return refuse("malformed");
  const headerPart = token.slice(0, headerEnd);
  const payloadBytes = decode(token.slice(headerEnd + 1, payloadEnd));
  const signature = decode(token.slice(payloadEnd + 1));
  if (payloadBytes === null || signature === null) return refuse("malformed");
  const header = provedHeaders.get(headerPart) ?? readHeader(headerPart);
  if (header === null) return refuse("malformed");
  if (header.alg !== "EdDSA") return refuse("wrongAlgorithm");
  if (header.typ !== typ) return refuse("wrongType");
  const key = typeof header.kid === "string" ? keyOf(header.kid) : undefined;
  if (key === undefined) return refuse("unknownKey");
  if (!verifyBytes(Buffer.from(token.slice(0, payloadEnd), "latin1"), key.publicKey, signature))
    return refuse("badSignature");
  if (provedHeaders.size < 256) provedHeaders.set(headerPart, header);
  const payload = parseObject(payloadBytes);
  return payload === null ? refuse("malformed") : { kind: "verified", payload, kid: key.kid };
}

/**
 * The same where only one key may have signed. A header identical to ours needs no parsing: its text determines type,
 * algorithm and key.
 */
export function verifyJwsBy(typ: JwsType, token: string, key: VerifyingKey): JwsResult {
  const header = knownHeaderOf(typ, key);
  const payloadEnd = token.lastIndexOf(".");
  const payloadFrom = header.length + 1;
  if (token.length > maxJwsLength || payloadEnd < payloadFrom || !token.startsWith(`${header}.`))
    return verifyJws(typ, token, (kid) => (kid === key.kid ? key : undefined));
  const payloadBytes = decode(token.slice(payloadFrom, payloadEnd));
  const signature = decode(token.slice(payloadEnd + 1));
  if (payloadBytes === null || signature === null) return { kind: "refused", reason: "malformed" };
  if (!verifyBytes(Buffer.from(token.slice(0, payloadEnd), "latin1"), key.publicKey, signature))
    return { kind: "refused", reason: "badSignature" };
  const payload = parseObject(payloadBytes);
  return payload === null
    ? { kind: "refused", reason: "malformed" }
    : { kind: "verified", payload, kid: key.kid };
}

/** Headers by verifying key, so that they are released with it. */
const knownHeaders = new WeakMap<VerifyingKey, { typ: JwsType; header: string }>();

function knownHeaderOf(typ: JwsType, key: VerifyingKey): string {
  const known = knownHeaders.get(key);
  if (known?.typ === typ) return known.header;
  const header = headerOf(typ, key.kid);
  knownHeaders.set(key, { typ, header });
  return header;
}

/** Raw 32-byte Ed25519 public key, base64url: the `x` of its JWK. */
export function exportPublicKey(key: KeyObject): string {
  const { crv, x } = createPublicKey(key).export({ format: "jwk" });
  // Keys of other curves have an `x` as well.
  if (crv !== "Ed25519" || x === undefined) throw new Error("not an Ed25519 key");
  return x;
}

/** @throws when `x` is no Ed25519 public key. */
export function importPublicKey(x: string): KeyObject {
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

/** Whether `x` is an Ed25519 public key in its one spelling; a second would be the same key under another `kid`. */
export function isPublicKey(x: string): boolean {
  const bytes = Buffer.from(x, "base64url");
  if (bytes.length !== 32 || bytes.toString("base64url") !== x) return false;
  try {
    importPublicKey(x);
    return true;
  } catch {
    return false;
  }
}

/** RFC 7638 thumbprint of an Ed25519 public key given as `x`: the `kid` everywhere. */
export function thumbprintOf(x: string): string {
  return hash("sha256", `{"crv":"Ed25519","kty":"OKP","x":"${x}"}`, "base64url");
}

export function signingKeyFromPem(pem: string): SigningKey {
  const privateKey = createPrivateKey(pem);
  return { kid: thumbprintOf(exportPublicKey(privateKey)), privateKey };
}

export function verifyingKeyFrom(x: string): VerifyingKey {
  return { kid: thumbprintOf(x), publicKey: importPublicKey(x) };
}
