// Shapes checked by hand where a general schema costs more than everything else done with a message. Each says yes only
// to what the schema would take as it is; to a no the schema is asked. Tests hold them against the schemas.

/** An object with names of `allowed` only, and `atLeast` so many of them. */
export function hasOnly(
  value: unknown,
  allowed: readonly string[],
  atLeast: number,
): value is Record<string, unknown> {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  const names = Object.keys(value);
  return names.length >= atLeast && names.every((name) => allowed.includes(name));
}

/** Below the largest integer of the database, with room to count on. At one a second it is reached after 60 years. */
export const largestCount = 2_000_000_000;

export function isCount(value: unknown, least: number): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= largestCount;
}

export const hashText = /^[A-Za-z0-9_-]{43}$/;

/** SHA-256 or a raw Ed25519 key, base64url. */
export function isHash(value: unknown): value is string {
  return typeof value === "string" && hashText.test(value);
}

const instant = /^\d{4}-(?:0[1-9]|1[0-2])-(\d\d)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** In the one form in which JavaScript writes it. */
export function isInstant(value: unknown): value is string {
  if (typeof value !== "string") return false;
  const day = instant.exec(value)?.[1];
  if (day === undefined || day === "00") return false;
  // Which months have more days, the date itself knows.
  if (day <= "28") return true;
  const ms = Date.parse(value);
  return Number.isFinite(ms) && new Date(ms).toISOString() === value;
}

/** Deeper than any configuration; the schema judges what is deeper still. */
const deepest = 16;

/** A value that came off a wire as JSON, without the one name that a copy would lose. */
export function isPlainJson(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value);
    case "object":
      if (value === null) return true;
      if (depth === deepest) return false;
      if (Array.isArray(value)) return isPlainList(value, depth);
      return isPlainObject(value, depth);
    default:
      return false;
  }
}

function isPlainList(values: readonly unknown[], depth: number): boolean {
  // Not by `every`, which passes over a hole.
  for (const value of values) if (!isPlainJson(value, depth + 1)) return false;
  return true;
}

/** As `isPlainJson`, of an object. */
export function isPlainObject(value: unknown, depth = 0): value is Record<string, unknown> {
  if (value === null || typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype)
    return false;
  // Some names have a meaning on every object.
  return Object.entries(value).every(
    ([name, member]) => name !== "__proto__" && name !== "constructor" && isPlainJson(member, depth + 1),
  );
}
