import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { Vin } from "@caas/contract/vin.ts";
import * as z from "zod";
import type { Fleet } from "../fleet/fleet.ts";

// What cars processed, version by version, in a file that outlives their process.

const commitSchema = z.object({
  vin: z.string(),
  version: z.int(),
  result: z.enum(["applied", "failed"]),
  /** The version in the active slot when the car told; `null`: none, or a damaged one. */
  slotVersion: z.int().nullable(),
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
  /** In the order of the outcomes, though a slot may be read faster than the one before. */
  let lines: Promise<unknown> = Promise.resolve();
  const newest = new Map(readCommits(path).map(({ vin, version }) => [vin, version]));
  const write = (vin: Vin, { version, result }: Pick<Commit, "version" | "result">): void => {
    newest.set(vin, Math.max(version, newest.get(vin) ?? 0));
    // Read at once: the next change would hide a roll-back that did not switch back.
    const held = fleet.cars.get(vin)?.configuration() ?? Promise.resolve(null);
    const reading = held.then((content) => content?.version ?? null).catch(() => null);
    lines = Promise.all([reading, lines]).then(([slotVersion]) =>
      appendFileSync(path, `${JSON.stringify({ vin, version, result, slotVersion } satisfies Commit)}\n`),
    );
  };
  fleet.on("outcome", write);
  fleet.on("outcomeAgain", write);
  // The process was killed between a journal's write and this file's: the journal tells it now.
  fleet.on("connected", (vin) => {
    const outcome = fleet.cars.get(vin)?.state().outcome ?? null;
    if (outcome !== null && outcome.version > (newest.get(vin) ?? 0)) write(vin, outcome);
  });
}
