import { durationSchema } from "../scenarios/scenario.ts";

/** What must hold at a load. */
export type Objective =
  | { kind: "latency"; percentile: 50 | 95 | 99; atMostMs: number }
  | { kind: "success"; atLeast: number };

/** The result of a load. */
export type LevelResult = {
  perSecond: number;
  sent: number;
  applied: number;
  failed: number;
  pending: number;
  /** Of those sent, changes that found an earlier one still under way in their car. */
  foundBusy: number;
  /** Ends per second, while the load lasted. */
  achievedPerSecond: number;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  /** Of one processor, by part; `null` where it cannot be known. */
  processors: Readonly<Record<string, number>> | null;
  /** Of all processors of the machine and all programs: 1 is one processor. */
  machineBusy: number;
  /** Longest that a process of cars was late. */
  generatorLagMs: number;
};

/** Reads `p99=1s`, `p95=250ms` or `success=0.99`; `undefined` where it is none. */
export function parseObjective(text: string): Objective | undefined {
  const [name, value, ...rest] = text.split("=");
  if (value === undefined || rest.length > 0) return undefined;
  if (name === "success") {
    const atLeast = Number(value);
    return atLeast > 0 && atLeast <= 1 ? { kind: "success", atLeast } : undefined;
  }
  const percentile = name === "p50" ? 50 : name === "p95" ? 95 : name === "p99" ? 99 : undefined;
  const duration = durationSchema.safeParse(value);
  if (percentile === undefined || !duration.success || duration.data <= 0) return undefined;
  return { kind: "latency", percentile, atMostMs: duration.data };
}

export function describeObjective(objective: Objective): string {
  return objective.kind === "latency"
    ? `p${objective.percentile} at most ${objective.atMostMs} ms`
    : `at least ${objective.atLeast * 100} % applied`;
}

/** When less than this share of the load completes, a queue grows that no percentile shows yet. */
const leastShareDone = 0.95;

/** Why the objective does not hold at this load; `null` when it does. */
export function explainBroken(objective: Objective, level: LevelResult): string | null {
  const share = level.applied / Math.max(1, level.sent);
  if (objective.kind === "success") {
    if (share >= objective.atLeast) return null;
    return `${(share * 100).toFixed(1)} % were applied`;
  }
  if (share < leastShareDone) return `${(share * 100).toFixed(1)} % were applied in time`;
  const { percentile, atMostMs } = objective;
  const measured = percentile === 50 ? level.p50Ms : percentile === 95 ? level.p95Ms : level.p99Ms;
  if (measured !== null && measured <= atMostMs) return null;
  return `p${percentile} was ${measured === null ? "not measured" : `${Math.round(measured)} ms`}`;
}

/** A program of one thread can use one processor. */
const oneThreaded = ["broker", "controlPlane", "fleet", "driver", "partners"];
const nearlyAll = 0.9;
/** This much of a processor is always used by something else. */
const aLittle = 0.1;
/** From here on, where nothing else is saturated, the cars are the bottleneck. */
const manyBusy = 0.2;

/** Which part was saturated, by its use of the processors. */
export function explainLimit(level: LevelResult, cores: number, carProcesses: number): string {
  const { processors, generatorLagMs } = level;
  if (processors === null)
    return generatorLagMs > 500
      ? `the simulator itself: its cars were late by ${Math.round(generatorLagMs)} ms`
      : "unknown: the platform's processes cannot be seen from here";
  const used = Object.entries(processors).toSorted(([, left], [, right]) => right - left);
  const total = used.reduce((sum, [, share]) => sum + share, 0);
  const words = used
    .filter(([, share]) => share >= 0.02)
    .map(([part, share]) => `${part} ${share.toFixed(2)}`)
    .join(", ");
  const roomOf = (part: string) => (part === "fleet" ? carProcesses : 1);
  const full = used.find(([part, share]) => oneThreaded.includes(part) && share >= nearlyAll * roomOf(part));
  const isSimulator = (part: string) => part === "fleet" || part === "driver";
  if (full !== undefined)
    return `${isSimulator(full[0]) ? "the simulator itself" : full[0]}: a thread had no time left (processors: ${words})`;
  const others = Math.max(0, level.machineBusy - total);
  if (total + Math.min(others, aLittle) >= nearlyAll * cores)
    return `the machine: its ${cores} processors were used up, most of them by ${used[0]?.[0]} (processors: ${words})`;
  if (level.machineBusy >= nearlyAll * cores)
    return `other programs: of ${level.machineBusy.toFixed(2)} processors in use only ${total.toFixed(2)} were the platform's and the simulator's (processors: ${words})`;
  const busyShare = level.foundBusy / Math.max(1, level.sent);
  if (busyShare >= manyBusy)
    return `the fleet is small for this load: ${Math.round(busyShare * 100)} % of the changes found the one before still under way in their car; try more --vehicles`;
  return `no processor: ${total.toFixed(2)} of ${cores} were used, so something waits, such as the disk or a lock (processors: ${words})`;
}
