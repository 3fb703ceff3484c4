import { appendFileSync, existsSync, readFileSync } from "node:fs";
import * as z from "zod";
import type { Fleet } from "../fleet/fleet.ts";

// What cars processed, version by version, in a file that outlives their process.

const commitSchema = z.object({
  vin: z.string(),
  version: z.int(),
  result: z.enum(["applied", "failed"]),
});
export type Commit = z.infer<typeof commitSchema>;

/** Everything the cars processed, in their order. A last line that a kill cut short does not count. */
export function readCommits(path: string): Commit[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => commitSchema.parse(JSON.parse(line)));
}

export function keepCommits(fleet: Fleet, path: string): void {
  const newest = new Map(readCommits(path).map(({ vin, version }) => [vin, version]));
  const write = (vin: string, { version, result }: Omit<Commit, "vin">): void => {
    newest.set(vin, Math.max(version, newest.get(vin) ?? 0));
    appendFileSync(path, `${JSON.stringify({ vin, version, result } satisfies Commit)}\n`);
  };
  fleet.on("outcome", write);
  fleet.on("outcomeAgain", write);
  // The process was killed between a journal's write and this file's: the journal tells it now.
  fleet.on("connected", (vin) => {
    const outcome = fleet.cars.get(vin)?.state().outcome ?? null;
    if (outcome !== null && outcome.version > (newest.get(vin) ?? 0)) write(vin, outcome);
  });
}
