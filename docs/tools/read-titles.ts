import { type ESTree, parseSync, Visitor } from "rolldown/utils";

/** Test functions whose first argument is a title. */
const testFunctions = new Set(["it", "test", "describe"]);

type Declared = ReadonlyMap<string, ESTree.Expression>;

export type Title = {
  /** As the file writes it, with its placeholders. */
  written: string;
  /**
   * Of a table (`.each`) whose rows the file writes out: once for every row, with the row's strings in their places. `…`
   * is what is known only when the test runs.
   */
  filled: readonly string[];
};

/**
 * The titles of a test file's tests and groups that run, in order: none that is commented out, `.skip` or `.todo`, nor
 * any inside such a group.
 *
 * @param file what an error names
 */
export function readTitles(source: string, file = "some.test.ts"): readonly Title[] {
  const { program, errors } = parseSync(file, source);
  if (errors.length > 0) throw new Error(`${file} is not TypeScript: ${errors[0]?.message}`);
  const declared = new Map<string, ESTree.Expression>();
  new Visitor({
    VariableDeclarator({ id, init }) {
      if (id.type === "Identifier" && init !== null) declared.set(id.name, init);
    },
  }).visit(program);
  const titles: Title[] = [];
  let unrunUntil = 0;
  new Visitor({
    CallExpression(call) {
      const found = call.start < unrunUntil ? null : readChain(call.callee);
      if (found === null) return;
      if (found.words.some((word) => word === "skip" || word === "todo")) unrunUntil = call.end;
      else titles.push(...readTitle(call, found.table, declared));
    },
  }).visit(program);
  return titles;
}

type Chain = { words: readonly string[]; table: ESTree.Argument | ESTree.TemplateLiteral | null };

/** `test.runIf(…)`, `it.each(…)` and the like, down to the test function; null where it is none. */
function readChain(callee: ESTree.Expression): Chain | null {
  switch (callee.type) {
    case "Identifier":
      return testFunctions.has(callee.name) ? { words: [], table: null } : null;
    case "MemberExpression": {
      if (callee.property.type !== "Identifier") return null;
      const before = readChain(callee.object);
      return before && { ...before, words: [...before.words, callee.property.name] };
    }
    case "CallExpression":
      return withTable(readChain(callee.callee), callee.arguments[0] ?? null);
    case "TaggedTemplateExpression":
      return withTable(readChain(callee.tag), callee.quasi);
    default:
      return null;
  }
}

/** Only what `each` or `for` was called with is a table; the title of a call that has none is an argument, no chain. */
function withTable(chain: Chain | null, table: Chain["table"]): Chain | null {
  const last = chain?.words.at(-1);
  if (chain === null || last === undefined) return null;
  return last === "each" || last === "for" ? { ...chain, table } : chain;
}

function readTitle(call: ESTree.CallExpression, table: Chain["table"], declared: Declared): Title[] {
  const written = readText(call.arguments[0]);
  if (written === null) return [];
  const rows = table === null ? null : readRows(table, declared);
  return [{ written, filled: (rows ?? []).map((row) => fill(written, row)) }];
}

/** A string as it is written; null where it is none. */
function readText(node: ESTree.Node | null | undefined): string | null {
  if (node?.type === "Literal" && typeof node.value === "string") return node.value;
  if (node?.type === "TemplateLiteral")
    return node.quasis.map(({ value }) => value.cooked ?? value.raw).join("…");
  return null;
}

/** The rows that are written out in this file, in place or under a name; null where they are computed. */
function readRows(table: ESTree.Node, declared: Declared): readonly ESTree.Node[] | null {
  const bare = withoutType(table);
  if (bare.type === "Identifier") {
    const init = declared.get(bare.name);
    return init === undefined ? null : readRows(init, new Map());
  }
  if (bare.type !== "ArrayExpression") return null;
  const rows = bare.elements.filter((element) => element !== null);
  return rows.some(({ type }) => type === "SpreadElement") ? null : rows.map(withoutType);
}

function withoutType(node: ESTree.Node): ESTree.Node {
  const isTyped = node.type === "TSAsExpression" || node.type === "TSSatisfiesExpression";
  return isTyped ? withoutType(node.expression) : node;
}

/** Puts a row's strings where the title names them: `%s` and its like in turn, `$name` by name, `$0` by number. */
function fill(title: string, row: ESTree.Node): string {
  const cells = row.type === "ArrayExpression" ? row.elements : [row];
  const fields = new Map(cells.map((cell, index) => [String(index), cell]));
  if (row.type === "ObjectExpression")
    for (const field of row.properties)
      if (field.type === "Property" && field.key.type === "Identifier")
        fields.set(field.key.name, field.value);
  let next = 0;
  return title.replace(/%[sdifjoOc]|\$([A-Za-z_]\w*|\d+)/g, (placeholder, name: string | undefined) => {
    const field = fields.get(name ?? String(next++));
    return readText(field) ?? (field === undefined ? placeholder : "…");
  });
}
