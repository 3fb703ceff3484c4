// Text from outside. PostgreSQL stores no NUL, and no half of a surrogate pair, which is no character and has no UTF-8.
// People are told which field holds one; what partners and cars write is made storable, so that no message is lost by it.

/** Where a value from outside holds text that cannot be stored; an empty path is the value itself. */
export type UnstorableText = { path: readonly string[]; message: string };

const nul = "\u0000";
const replacement = "\uFFFD";

/** Deeper than any document of ours. A deeper one is refused, and cut where it may not be refused. */
const deepest = 64;

export function isStorableText(text: string): boolean {
  return !text.includes(nul) && text.isWellFormed();
}

/** NUL and halves of surrogate pairs become U+FFFD, the sign for a character that could not be read. */
export function makeTextStorable(text: string): string {
  return isStorableText(text) ? text : text.replaceAll(nul, replacement).toWellFormed();
}

/**
 * At most `most` UTF-16 code units of `text`, storable and cut between code points: an emoji at the limit is left out
 * whole.
 */
export function cutText(text: string, most: number): string {
  return makeTextStorable(
    text.length <= most || !isPairAt(text, most) ? text.slice(0, most) : text.slice(0, most - 1),
  );
}

/** The same of the end of `text`. */
export function cutTextBefore(text: string, most: number): string {
  const from = Math.max(0, text.length - most);
  return makeTextStorable(text.slice(isPairAt(text, from) ? from + 1 : from));
}

/** Whether a cut before the code unit at `index` would part two that belong together. */
function isPairAt(text: string, index: number): boolean {
  const [before, after] = [text.charCodeAt(index - 1), text.charCodeAt(index)];
  return before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff;
}

/** The first text of a JSON value that cannot be stored, names of fields included; `null` when all can. */
export function findUnstorableText(value: unknown, path: readonly string[] = []): UnstorableText | null {
  if (typeof value === "string") return isStorableText(value) ? null : { path, message: sayWhy(value) };
  if (value === null || typeof value !== "object") return null;
  if (path.length === deepest) return { path, message: `is nested more than ${deepest} levels deep` };
  for (const [name, member] of Object.entries(value)) {
    if (!isStorableText(name)) return { path, message: `has a field whose name ${sayWhy(name)}` };
    const found = findUnstorableText(member, [...path, name]);
    if (found !== null) return found;
  }
  return null;
}

function sayWhy(text: string): string {
  return text.includes(nul)
    ? "holds the character U+0000, which no text may hold"
    : "holds half of a surrogate pair, which is no character";
}

/** A JSON value with all its text storable; the same value where nothing has to be changed. */
export function makeStorable<T>(value: T): T;
export function makeStorable(value: unknown): unknown {
  return storableOf(value, 0);
}

function storableOf(value: unknown, depth: number): unknown {
  if (typeof value === "string") return makeTextStorable(value);
  if (value === null || typeof value !== "object") return value;
  if (depth === deepest) return null;
  if (Array.isArray(value)) {
    const made = value.map((member) => storableOf(member, depth + 1));
    return made.every((member, index) => member === value[index]) ? value : made;
  }
  const entries = Object.entries(value);
  const made = entries.map(
    ([name, member]) => [makeTextStorable(name), storableOf(member, depth + 1)] as const,
  );
  const isSame = made.every(([name, member], index) => {
    const [givenName, given] = entries[index] ?? [];
    return name === givenName && member === given;
  });
  return isSame ? value : Object.fromEntries(made);
}

/** The text that `bytes` are in UTF-8; `null` where they are none. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return null;
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
