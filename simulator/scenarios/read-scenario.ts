import { readdirSync, readFileSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Document, isNode, LineCounter, parseDocument } from "yaml";
import type * as z from "zod";
import { type Scenario, scenarioSchema } from "./scenario.ts";

/** The scenarios that come with the simulator. */
export const scenarioFolder = fileURLToPath(new URL("./", import.meta.url));

export function listScenarios(): string[] {
  return readdirSync(scenarioFolder)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => basename(name, ".yaml"))
    .sort();
}

/** The file cannot be a scenario; the message has a line for each mistake. */
export class BadScenario extends Error {
  override name = "BadScenario";
}

export type NamedScenario = { name: string; scenario: Scenario };

/**
 * @param given a file of YAML or JSON, or the name of a scenario that comes with the simulator
 * @throws BadScenario naming line and field of each mistake
 */
export function readScenario(given: string): NamedScenario {
  const isOwn = listScenarios().includes(given);
  const path = isOwn ? join(scenarioFolder, `${given}.yaml`) : given;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    throw new BadScenario(
      `${given} cannot be read; the simulator's own scenarios are ${listScenarios().join(", ")}`,
    );
  }
  return { name: basename(path, extname(path)), scenario: parseScenario(text, path) };
}

/** @throws BadScenario */
export function parseScenario(text: string, path: string): Scenario {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number, field: string, message: string) =>
    `${path}:${lines.linePos(offset).line}: ${field}: ${message}`;
  if (document.errors.length > 0)
    throw new BadScenario(
      document.errors.map((error) => at(error.pos[0], "syntax", error.message)).join("\n"),
    );
  const parsed = scenarioSchema.safeParse(document.toJS());
  if (parsed.success) return parsed.data;
  const mistakes = parsed.error.issues.flatMap(unfold);
  throw new BadScenario(
    mistakes
      .map(({ path: place, message }) => {
        const words = place.length > 0 && !document.hasIn(place) ? "is missing" : message;
        return at(offsetOf(document, place), place.join(".") || "file", words);
      })
      .join("\n"),
  );
}

type Place = readonly PropertyKey[];
type Mistake = { path: Place; message: string };

/** Unknown fields are reported at their own place; of a union's branches, the one that matched furthest. */
function unfold(issue: z.core.$ZodIssue): Mistake[] {
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: "is no field of a scenario" }));
  if (issue.code === "invalid_union") {
    const branches = issue.errors.map((errors) =>
      errors.flatMap((inner) => unfold({ ...inner, path: [...issue.path, ...inner.path] })),
    );
    const [deepest] = branches.toSorted((left, right) => depthOf(right) - depthOf(left));
    if (deepest !== undefined && deepest.length > 0) return deepest;
  }
  return [{ path: issue.path, message: issue.message }];
}

function depthOf(mistakes: readonly Mistake[]): number {
  return Math.max(0, ...mistakes.map(({ path }) => path.length));
}

/** The field's position, or that of the nearest parent that exists. */
function offsetOf(document: Document, place: Place): number {
  for (let length = place.length; length > 0; length -= 1) {
    const node = document.getIn(place.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return 0;
}
