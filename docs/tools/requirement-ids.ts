/** Reading of requirement ids: in docs/requirements.md and in the titles of tests. Pure text work, no files. */

/** The families of ids; anything else that looks like one (CE3, VX1) is a row of ours, not a requirement. */
const families = "DO|LF|SY|AU|VS|VA|SS|SA|ND|NT|DE|FA|ES|DA|ME|HI";
const dash = "(?:–|—|-|…|\\.\\.\\.?)";
/** An id, alone or as a range: "VS1–VS12", "VS1 to VS12", or in short "VS1–12" (without spaces: "VA5 - 2 cars" is none). */
const idPattern = new RegExp(
  `\\b(${families})(\\d{1,2})(?:(?:\\s*${dash}\\s*|\\s+to\\s+)(${families})(\\d{1,2})|${dash}(\\d{1,2}))?\\b`,
  "g",
);

/** Whether the product does it: `inPart` says what is missing. */
export type Answer =
  | { kind: "done"; files: readonly string[]; seen: string }
  | { kind: "inPart"; files: readonly string[]; seen: string; missing: string }
  | { kind: "notBuilt" };

export type Requirement = {
  id: string;
  text: string;
  section: string;
  /** `null`: the row gives none, or not in the form that the document explains. */
  answer: Answer | null;
};

const rowPattern = /^\|\s*([A-Z]{2}\d+)\s*\|([^|]+)\|(?:([^|]*)\|([^|]*)\|)?\s*$/;

/** The rows of docs/requirements.md in order, repeated ids included: the caller checks them. */
export function readRequirements(markdown: string): readonly Requirement[] {
  const requirements: Requirement[] = [];
  let section = "";
  for (const line of markdown.split("\n")) {
    if (line.startsWith("## ")) section = line.slice(3).trim();
    const [, id, text = "", place = "", seen = ""] = rowPattern.exec(line) ?? [];
    if (id !== undefined)
      requirements.push({ id, text: text.trim(), section, answer: readAnswer(place.trim(), seen.trim()) });
  }
  return requirements;
}

/** @param place the files, linked from `docs`, behind "in part:" where that is so; or "not built" */
function readAnswer(place: string, seenAndMissing: string): Answer | null {
  const [seen = "", missing, ...more] = seenAndMissing.split("; missing: ");
  if (place === "not built") return seenAndMissing === "" ? { kind: "notBuilt" } : null;
  const isPart = place.startsWith("in part: ");
  const links = (isPart ? place.slice("in part: ".length) : place).split(", ");
  const files = links.flatMap((link) => /^\[[^\]]+\]\(\.\.\/([^)]+)\)$/.exec(link)?.[1] ?? []);
  if (files.length < links.length || seen === "" || more.length > 0) return null;
  if (!isPart) return missing === undefined ? { kind: "done", files, seen } : null;
  return missing === undefined ? null : { kind: "inPart", files, seen, missing };
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
