import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findProfile } from "../simulate.ts";
import { openSmallWorld } from "../testing/small-world.ts";
import { findKnee } from "./find-knee.ts";

test("the load is doubled until the objective breaks, and the space between is closed in on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "caas-knee-test-"));
  const world = await openSmallWorld(60);
  const { changeCars } = world;
  if (changeCars === null) throw new Error("the small world changes cars");
  // An entrance that takes no more than three cars at a time: what is above comes too late.
  const narrow: typeof changeCars = (vins) => changeCars(vins.slice(0, 3));
  const heard: (string | null)[] = [];
  try {
    const knee = await findKnee({
      world: { ...world, changeCars: narrow },
      profile: findProfile("steady").content,
      objective: { kind: "latency", percentile: 99, atMostMs: 450 },
      load: "bulk",
      from: 20,
      levelMs: 500,
      processes: 1,
      seed: 3,
      folder,
      signal: new AbortController().signal,
      onLevel: (_level, broken) => void heard.push(broken),
      say: () => undefined,
    });
    const [capacity, broken] = [knee.capacity, knee.broken];
    if (broken === null) throw new Error("an entrance for three at a time must break");
    expect(broken.perSecond).toBeLessThanOrEqual(160);
    expect(capacity?.perSecond ?? 0).toBeLessThan(broken.perSecond);
    expect(knee.levels).toHaveLength(heard.length);
    for (const level of knee.levels) expect(level.applied + level.failed + level.pending).toBe(level.sent);
    expect(heard.some((why) => why !== null)).toBe(true);
    // One bad moment is no knee: what is called broken broke each time it was tried, and was tried again.
    const tries = knee.levels.flatMap((level, index) =>
      level.perSecond === broken.perSecond ? [heard[index]] : [],
    );
    expect(tries.length).toBeGreaterThanOrEqual(2);
    expect(tries).not.toContain(null);
  } finally {
    await world.stop();
    rmSync(folder, { recursive: true, force: true });
  }
});
