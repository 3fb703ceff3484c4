import { existsSync, readFileSync } from "node:fs";
import { type Commit, commitSchema } from "./fleet-messages.ts";

/** Everything the cars processed, in their order. A last line that a kill cut short is none. */
export function readCommits(path: string): Commit[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => commitSchema.parse(JSON.parse(line)));
}
