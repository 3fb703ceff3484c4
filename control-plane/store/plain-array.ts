const plain = /^[\w.-]+$/;

/**
 * The text of a PostgreSQL array of numbers, booleans, uuids, base64url and the like, which need no quotes: `pg` would check
 * every character for that. `null` is NULL.
 * @throws Error for an element that would need quotes.
 */
export function plainArray(values: readonly (string | number | boolean | null)[]): string {
  for (const value of values)
    if (typeof value === "string" && (!plain.test(value) || value.toLowerCase() === "null"))
      throw new Error("an element of a plain array needs quotes");
  return `{${values.map((value) => value ?? "null").join(",")}}`;
}

/**
 * The same for a column of `unnest` beside others that are never null: nothing where every value is null, since `unnest`
 * fills up what is missing with NULL.
 */
export function sparseArray(values: readonly (string | number | boolean | null)[]): string {
  return values.every((value) => value === null) ? "{}" : plainArray(values);
}

/** The same for byte strings, as `bytea[]` in hexadecimal. */
export function byteArray(values: readonly (Uint8Array | null)[]): string {
  return `{${values.map((bytes) => (bytes === null ? "null" : `"\\\\x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex")}"`)).join(",")}}`;
}
