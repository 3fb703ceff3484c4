/** The parts of a message's text. */
export type MessageBlock =
  | { kind: "paragraph"; text: string }
  | { kind: "facts"; facts: readonly { label: string; value: string }[] };

/** Parts a message's text at its blank lines; a part whose every line is "- Label: value" is a list of facts. */
export function parseBlocks(body: string): readonly MessageBlock[] {
  return body
    .trim()
    .split(/\n{2,}/)
    .map((part): MessageBlock => {
      const lines = part.split("\n");
      const facts = lines.flatMap((line) => parseFact(line) ?? []);
      return facts.length === lines.length
        ? { kind: "facts", facts }
        : { kind: "paragraph", text: lines.join(" ") };
    });
}

function parseFact(line: string): { label: string; value: string } | undefined {
  const match = /^- ([^:]+): (.*)$/.exec(line);
  return match === null ? undefined : { label: match[1] ?? "", value: match[2] ?? "" };
}
