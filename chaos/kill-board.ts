import type { OtaPlan, Part } from "./ota-plan.ts";

/** Which planned kills are still to come, and what has fired. */
export type KillBoard = {
  /** The next place this part is to die at, as `place:passage`; empty when none is left. */
  armed(part: Part): string;
  /** A part was killed at a place of its code. */
  fired(part: Part, place: string): void;
  firedByTheClock(part: Part): void;
  /** `control-plane/job-taken-before-run` and the like; kills by the clock count under `part/by-the-clock`. */
  counts(): Record<string, number>;
  /** Planned kills that have not fired. */
  missing(): string[];
};

const byTheClock = "by-the-clock";

export function createKillBoard(plan: Pick<OtaPlan, "kills" | "wallKills">): KillBoard {
  const counts = new Map<string, number>();
  for (const { part, place } of plan.kills) counts.set(`${part}/${place}`, 0);
  for (const { part } of plan.wallKills) counts.set(`${part}/${byTheClock}`, 0);
  const add = (name: string): void => void counts.set(name, (counts.get(name) ?? 0) + 1);
  const countOf = (part: Part, place: string): number => counts.get(`${part}/${place}`) ?? 0;
  return {
    armed(part) {
      const next = plan.kills.find((kill) => kill.part === part && countOf(part, kill.place) === 0);
      return next === undefined ? "" : `${next.place}:${next.passage}`;
    },
    fired: (part, place) => add(`${part}/${place}`),
    firedByTheClock: (part) => add(`${part}/${byTheClock}`),
    counts: () => Object.fromEntries(counts),
    missing: () => [...counts].filter(([, count]) => count === 0).map(([name]) => name),
  };
}
