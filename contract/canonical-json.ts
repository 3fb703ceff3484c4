import { createHash } from "node:crypto";

/** What JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * One text for one value: object keys in code-unit order and no white space (RFC 8785, whose number form is
 * JavaScript's own). Two parties that hold the same value therefore compute the same hash.
 */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

/** base64url SHA-256 of the canonical text. */
export function hashJson(value: Json): string {
  return createHash("sha256").update(canonicalJson(value)).digest("base64url");
}
