/**
 * A Markdown table, its columns aligned as the formatter of this repository aligns them. Cells are plain text, and a
 * bar inside one is escaped so that it stays inside.
 */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [first = [], ...others] = cells;
  return [line(first), line(widths.map((width) => "-".repeat(width))), ...others.map(line)].join("\n");
}

/** A fenced mermaid block. */
export function renderDiagram(lines: readonly string[]): string {
  return ["```mermaid", ...lines, "```"].join("\n");
}

/** The items of a cell; a dash where there are none. */
export function list(items: string | readonly string[]): string {
  if (typeof items === "string") return items;
  return items.length > 0 ? items.join(", ") : "–";
}
