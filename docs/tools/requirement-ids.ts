/** Reading of requirement ids: from docs/requirements.md and from the titles of tests. Pure text work, no files. */

/** The families of ids; anything else that looks like one (CE3, VX1) is a row of ours, not a requirement. */
const families = "DO|LF|SY|AU|VS|VA|SS|SA|ND|NT|DE|FA|ES|DA|ME|HI";
const dash = "(?:–|—|-|…|\\.\\.\\.?)";
/** An id, alone or as a range: "VS1–VS12", "VS1 to VS12", or in short "VS1–12" (without spaces: "VA5 - 2 cars" is none). */
const idPattern = new RegExp(
  `\\b(${families})(\\d{1,2})(?:(?:\\s*${dash}\\s*|\\s+to\\s+)(${families})(\\d{1,2})|${dash}(\\d{1,2}))?\\b`,
  "g",
);

export type Requirement = { id: string; text: string; section: string };

/** The rows of docs/requirements.md in order, repeated ids included: the caller checks them. */
export function readRequirements(markdown: string): readonly Requirement[] {
  const requirements: Requirement[] = [];
  let section = "";
  for (const line of markdown.split("\n")) {
    if (line.startsWith("## ")) section = line.slice(3).trim();
    const [, id, text] = /^\|\s*([A-Z]{2}\d+)\s*\|\s*(.+?)\s*\|\s*$/.exec(line) ?? [];
    if (id !== undefined && text !== undefined) requirements.push({ id, text, section });
  }
  return requirements;
}

/** Every id a title names, ranges spelt out. A range over two families or backwards names only its ends. */
export function listIds(title: string): readonly string[] {
  const ids = new Set<string>();
  for (const [, family, first, lastFamily = family, longLast, shortLast] of title.matchAll(idPattern)) {
    const last = longLast ?? shortLast;
    ids.add(`${family}${first}`);
    if (last === undefined) continue;
    ids.add(`${lastFamily}${last}`);
    if (lastFamily !== family) continue;
    for (let number = Number(first); number < Number(last); number += 1) ids.add(`${family}${number}`);
  }
  return [...ids];
}

export type TestTexts = {
  /** First arguments of `it`, `test` and `describe`, as written. */
  titles: readonly string[];
  /** Texts that name an id in the rows of a test table, which become titles when the tests run. */
  rows: readonly string[];
};

const callPattern = /\b(?:it|test|describe)((?:\.\w+)*)\s*(?=[(`])/g;
const rowPattern = /(?:\[\s*|\b(?:id|ids|title|name)\s*:\s*)(?:"([^"\n]*)"|'([^'\n]*)'|`([^`\n]*)`)/g;

const commentPattern = /^[ \t]*(?:\/\/.*|\/\*[\s\S]*?\*\/)/gm;
const unrunPattern = /\.(?:skip|todo)\b/;

/** The source without tests that never run: commented out, `.skip` or `.todo`, with all that is inside them. */
export function dropUnrunTests(source: string): string {
  const code = source.replace(commentPattern, "");
  let kept = "";
  let from = 0;
  for (const call of code.matchAll(callPattern)) {
    const [text, chain = ""] = call;
    if (call.index < from || !unrunPattern.test(chain)) continue;
    kept += code.slice(from, call.index);
    from = skipGroup(code, call.index + text.length);
    if (/\.(?:each|for)\b/.test(chain)) from = skipGroup(code, from);
  }
  return kept + code.slice(from);
}

/**
 * Reads the titles of a test file's tests that run. Where titles are filled from a table (`it.each`, or a template with `${…}`), the texts
 * that begin a row or are under id, ids, title or name are read too.
 */
export function readTestTexts(file: string): TestTexts {
  const source = dropUnrunTests(file);
  const titles: string[] = [];
  let hasTable = false;
  for (const call of source.matchAll(callPattern)) {
    const [text, chain = ""] = call;
    let index = call.index + text.length;
    if (/\.(?:each|for)\b/.test(chain)) {
      hasTable = true;
      index = skipGroup(source, index);
    }
    const title = readString(source, index);
    if (title === null) continue;
    titles.push(title);
    if (title.includes("${")) hasTable = true;
  }
  return { titles, rows: hasTable ? listRows(source) : [] };
}

function listRows(source: string): readonly string[] {
  const texts = [...source.matchAll(rowPattern)].map(([, a, b, c]) => a ?? b ?? c ?? "");
  return [...new Set(texts)].filter((text) => listIds(text).length > 0);
}

/** The string that is the first argument of the call whose bracket is at `index`; null where it is none. */
function readString(source: string, index: number): string | null {
  const open = /^\s*\(\s*(?=["'`])/.exec(source.slice(index, index + 200));
  if (!open) return null;
  const start = index + open[0].length;
  const end = skipQuoted(source, start);
  return source.slice(start + 1, end - 1).replace(/\\(["'`\\])/g, "$1");
}

/** Index after the bracketed group or template at `index`; brackets inside strings do not count. */
function skipGroup(source: string, index: number): number {
  if (source[index] === "`") return skipQuoted(source, index);
  let depth = 0;
  for (let at = index; at < source.length; at += 1) {
    const char = source[at] ?? "";
    if ("\"'`".includes(char)) at = skipQuoted(source, at) - 1;
    else if ("([{".includes(char)) depth += 1;
    else if (")]}".includes(char)) depth -= 1;
    if (depth === 0) return at + 1;
  }
  return source.length;
}

function skipQuoted(source: string, index: number): number {
  const quote = source[index];
  for (let at = index + 1; at < source.length; at += 1) {
    if (source[at] === "\\") at += 1;
    else if (source[at] === quote) return at + 1;
  }
  return source.length;
}
