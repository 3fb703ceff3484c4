import type { FigureOfFile } from "./figure-files.ts";

/** A sentence when the document does not tell what the file holds. @param result the file's JSON */
export function compareFigure(row: FigureOfFile, text: string, result: unknown): string | null {
  const lines = text.split("\n").filter((line) => line.includes(row.line));
  const [line] = lines;
  if (line === undefined || lines.length > 1)
    return `${lines.length} lines of ${row.document} hold "${row.line}"`;
  const value = valueAt(result, row.at.split("/"));
  if (value === null) return `${row.file} has no number at ${row.at}`;
  const kept = formatFigure(value / (row.per ?? 1), row.digits);
  if (kept !== row.figure) return `${row.file} holds ${kept} at ${row.at}, not ${row.figure}`;
  return listNumbers(line).includes(row.figure)
    ? null
    : `the line "${row.line}" of ${row.document} does not tell ${row.figure}`;
}

/** As the documents write them: `12,345.6`. */
export function formatFigure(value: number, digits: number): string {
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Numbers of a line that stand for themselves: not within a link's address or another word. */
function listNumbers(line: string): string[] {
  const prose = line.replaceAll(/\]\([^)]*\)/g, "]");
  return [...prose.matchAll(/(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w])/g)].map(([number]) => number);
}

function valueAt(value: unknown, [name, ...rest]: readonly string[]): number | null {
  if (name === undefined) return typeof value === "number" ? value : null;
  // Costs by part are kept as one text.
  const inside: unknown = typeof value === "string" ? JSON.parse(value) : value;
  if (typeof inside !== "object" || inside === null) return null;
  if (name === "*") {
    const numbers = Object.values(inside).filter((one) => typeof one === "number");
    return numbers.length === 0 ? null : numbers.reduce((sum, one) => sum + one, 0);
  }
  const next: unknown = Array.isArray(inside)
    ? inside.find(
        (one: unknown) => typeof one === "object" && one !== null && Reflect.get(one, "load") === name,
      )
    : Reflect.get(inside, name);
  return valueAt(next, rest);
}
