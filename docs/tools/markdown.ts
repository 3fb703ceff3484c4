/** A Markdown table; cells are plain text, and a bar inside one is escaped so that it stays inside. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** A fenced mermaid block. */
export function renderDiagram(lines: readonly string[]): string {
  return ["```mermaid", ...lines, "```"].join("\n");
}
