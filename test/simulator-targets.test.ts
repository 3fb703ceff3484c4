import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Target, targets } from "@caas/simulator/report/targets.ts";
import { expect, test } from "vitest";
import { readRequirements } from "../docs/tools/requirement-ids.ts";
import { root } from "./house/source-files.ts";

const requirements = new Map(
  readRequirements(readFileSync(join(root, "docs/requirements.md"), "utf8")).map(({ id, text }) => [
    id,
    text,
  ]),
);

const msOf: Readonly<Record<string, number>> = { "an hour": 3_600_000, "two seconds": 2_000 };

/** What a row of the metrics demands, in the simulator's terms. */
function readBound(text: string): Target["bound"] | undefined {
  const share = /[Mm]ore than (\d+(?:\.\d+)?) %/.exec(text)?.[1];
  if (share !== undefined) return { above: Number(share) / 100 };
  const duration = /less than (an hour|two seconds)/.exec(text)?.[1];
  const belowMs = duration === undefined ? undefined : msOf[duration];
  return belowMs === undefined ? undefined : { belowMs };
}

test.each(Object.entries<Target>(targets))(
  "the simulator judges %s by the specification's own number",
  (_name, { row, bound }) => {
    expect(readBound(requirements.get(row) ?? "")).toEqual(bound);
  },
);
