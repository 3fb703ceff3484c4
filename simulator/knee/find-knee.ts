import { cpus } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import type { Profile } from "../behaviour/profile.ts";
import { deriveSeed, seededRandom } from "../chance/seeded-random.ts";
import { type Accounts, openAccounts } from "../customers/accounts.ts";
import { openBuyers } from "../customers/buyers.ts";
import { type ChangeLog, createChangeLog } from "../measure/change-log.ts";
import { changeInBulk } from "../run/bulk-change.ts";
import { type CarHosts, startCarHosts } from "../run/car-hosts.ts";
import { createOutcomes, type Outcomes } from "../run/outcomes.ts";
import { nowMs } from "../run/pace.ts";
import { planArrivals } from "../run/plan-steps.ts";
import { comeUp } from "../run/run.ts";
import { keepSituation, type SituationKeeper } from "../run/situation.ts";
import type { World } from "../run/world.ts";
import { explainBroken, type LevelResult, type Objective } from "./objective.ts";

export type KneeOptions = {
  world: World;
  profile: Profile;
  objective: Objective;
  load: "bulk" | "purchases";
  /** The first load, per second. */
  from: number;
  /** How long each load lasts. */
  levelMs: number;
  processes: number;
  seed: number;
  folder: string;
  signal: AbortSignal;
  /** Called with each load's result, and why it was too much or `null`. */
  onLevel: (level: LevelResult, broken: string | null) => void;
  say: (line: string) => void;
};

export type Knee = {
  levels: readonly LevelResult[];
  /** The highest load that held; `null` when not even the first did. */
  capacity: LevelResult | null;
  /** The lowest that did not; `null` when none was found. */
  broken: LevelResult | null;
};

/** Between two loads: what is under way ends, and is not counted in the next load. */
const restMs = 1_000;
/** Changes that do not end within this time after a load count as late. */
const settleMs = 10_000;
const wavesPerSecond = 20;
/** A platform that has just started gets faster for a minute or two: code is compiled, plans are cached. */
const mostTries = 8;
const clearlyBetter = 1.1;
/** Customers who sign in at a time. */
const signingIn = 4;
/** After doubling until it breaks, the interval is halved this many times. */
const refinements = 3;
const mostDoublings = 16;

/** Raises the load until the objective breaks, and then narrows down where. */
export async function findKnee(options: KneeOptions): Promise<Knee> {
  const { signal } = options;
  const hosts = await startCarHosts(options);
  try {
    const keeper = keepSituation();
    const outcomes = createOutcomes();
    hosts.on("news", (news, host) => {
      keeper.hear(news, host);
      for (const { vin, version, atMs, result } of news.outcomes)
        outcomes.heard(vin, version, { atMs, result });
    });
    const running = { situation: keeper.now, vehicles: hosts.cars.size, startedMs: nowMs() };
    await comeUp(hosts, { rampMs: 0, signal }, running, options.say);
    const accounts = options.load === "purchases" ? await signEverybodyIn(options) : null;
    const around = { hosts, keeper, outcomes, accounts };
    // Opens connections: the first load is not measured.
    await measureLevel(options.from, 0, options, around);
    return await search(options, (perSecond, number) => measureLevel(perSecond, number, options, around));
  } finally {
    await hosts.stop();
  }
}

/** The knee is about purchases and not about signing in: customers stay signed in for days. */
async function signEverybodyIn({ world, signal, say }: KneeOptions): Promise<Accounts | null> {
  const { restUrl, owners, makeKnown } = world;
  if (restUrl === null) return null;
  const accounts = openAccounts(restUrl, makeKnown);
  const startedMs = nowMs();
  const waiting = [...owners];
  let refused = 0;
  await Promise.all(
    Array.from({ length: signingIn }, async () => {
      for (let owner = waiting.pop(); owner !== undefined && !signal.aborted; owner = waiting.pop())
        await accounts.clientOf(owner).catch(() => {
          refused += 1;
        });
    }),
  );
  const seconds = ((nowMs() - startedMs) / 1000).toFixed(1);
  say(
    `${owners.length - refused} customers signed in, in ${seconds} s${refused > 0 ? `; ${refused} could not` : ""}`,
  );
  return accounts;
}

async function search(
  { objective, from, signal, onLevel }: KneeOptions,
  measure: (perSecond: number, number: number) => Promise<LevelResult>,
): Promise<Knee> {
  const levels: LevelResult[] = [];
  /**
   * Whether it held; `null` when there was no more time to know. A load that breaks is tried again, and again as long
   * as each try is clearly better than the one before: one disturbance, or a platform not yet warm, is no knee.
   */
  async function judge(perSecond: number): Promise<{ level: LevelResult; held: boolean } | null> {
    let before: LevelResult | null = null;
    for (let tries = 1; ; tries += 1) {
      const level = await measure(perSecond, levels.length + 1);
      if (signal.aborted) return null;
      levels.push(level);
      const why = explainBroken(objective, level);
      onLevel(level, why);
      if (why === null) return { level, held: true };
      if (tries === mostTries || (before !== null && !wentBetter(level, before)))
        return { level, held: false };
      before = level;
    }
  }
  let capacity: LevelResult | null = null;
  let broken: LevelResult | null = null;
  for (let perSecond = from, doubling = 0; doubling < mostDoublings && broken === null; doubling += 1) {
    const judged = await judge(perSecond);
    if (judged === null) return { levels, capacity, broken };
    if (judged.held) capacity = judged.level;
    else broken = judged.level;
    perSecond *= 2;
  }
  for (let step = 0; step < refinements && capacity !== null && broken !== null; step += 1) {
    const between = (capacity.perSecond + broken.perSecond) / 2;
    const judged = await judge(between >= 20 ? Math.round(between) : Math.round(between * 10) / 10);
    if (judged === null) break;
    if (judged.held) capacity = judged.level;
    else broken = judged.level;
  }
  return { levels, capacity, broken };
}

function wentBetter(level: LevelResult, before: LevelResult): boolean {
  return (
    level.achievedPerSecond >= before.achievedPerSecond * clearlyBetter ||
    (level.p99Ms !== null && before.p99Ms !== null && level.p99Ms * clearlyBetter <= before.p99Ms)
  );
}

type Around = { hosts: CarHosts; keeper: SituationKeeper; outcomes: Outcomes; accounts: Accounts | null };

async function measureLevel(
  perSecond: number,
  number: number,
  options: KneeOptions,
  { hosts, keeper, outcomes, accounts }: Around,
): Promise<LevelResult> {
  const { world, levelMs, signal } = options;
  const ended: number[] = [];
  const changeLog = createChangeLog((vin) => hosts.cars.get(vin) ?? "new", {
    sent: () => undefined,
    ended({ end }) {
      if (end !== null) ended.push(end.atMs);
    },
    attempted: () => undefined,
  });
  const over = new AbortController();
  const within = AbortSignal.any([signal, over.signal]);
  keeper.takeLag();
  const before = world.partTimes?.() ?? null;
  const busyBefore = readBusyMs();
  const startedMs = nowMs();
  let foundBusy = 0;
  await load(perSecond, number, options, {
    ...{ hosts, outcomes, accounts, changeLog, within },
    onBusy() {
      foundBusy += 1;
    },
  });
  await delay(Math.max(0, startedMs + levelMs - nowMs()), undefined, { signal }).catch(() => undefined);
  const seconds = (nowMs() - startedMs) / 1000;
  const after = world.partTimes?.() ?? null;
  const machineBusy = Math.round((readBusyMs() - busyBefore) / seconds / 10) / 100;
  const generatorLagMs = keeper.takeLag();
  const inTime = ended.filter((atMs) => atMs <= startedMs + seconds * 1000).length;
  await changeLog.untilSettled(AbortSignal.any([signal, AbortSignal.timeout(settleMs)]));
  over.abort();
  await delay(restMs, undefined, { signal }).catch(() => undefined);
  const { sent, applied, failed } = changeLog.totals;
  const { p50Ms, p95Ms, p99Ms } = changeLog.latencies.quantiles();
  return {
    perSecond,
    sent,
    applied,
    failed,
    pending: sent - applied - failed,
    foundBusy,
    achievedPerSecond: Math.round((inTime / seconds) * 10) / 10,
    p50Ms,
    p95Ms,
    p99Ms,
    generatorLagMs: Math.round(generatorLagMs),
    machineBusy,
    processors: before === null || after === null ? null : sharesOf(before, after, seconds),
  };
}

/** Resolves when the load has been applied; its outcome is not waited for. */
async function load(
  perSecond: number,
  number: number,
  { world, levelMs, seed }: KneeOptions,
  around: Omit<Around, "keeper"> & { changeLog: ChangeLog; within: AbortSignal; onBusy: () => void },
): Promise<void> {
  const { hosts, outcomes, accounts, changeLog, within, onBusy } = around;
  const random = seededRandom(deriveSeed(seed, "knee", number));
  // A platform that takes the load too slowly is not waited for: what is left by then counts against it.
  const noMore = AbortSignal.any([within, AbortSignal.timeout(levelMs * 1.25)]);
  const shared = { name: `${perSecond} a second`, random, noMore };
  if (accounts !== null) {
    const buyers = openBuyers({ accounts, owners: world.owners, changeLog, outcomes, signal: within });
    const arrivals = planArrivals(shared.random, {
      perSecond,
      forMs: levelMs,
      count: Number.POSITIVE_INFINITY,
    });
    return buyers.receive({ ...shared, arrivals, thinkMs: 0, badCards: 0 });
  }
  if (world.changeCars === null) throw new Error("this platform has no entrance for a change of many cars");
  const fleet = [...hosts.cars.keys()];
  const count = Math.max(1, Math.round((perSecond * levelMs) / 1000));
  // The cars in turn: the one that was changed longest ago is next.
  const start = Math.floor(random() * fleet.length);
  return changeInBulk({
    ...shared,
    vins: Array.from({ length: count }, (_, index) => fleet[(start + index) % fleet.length] ?? ""),
    overMs: levelMs,
    waveSize: Math.max(1, Math.ceil(perSecond / wavesPerSecond)),
    retries: 0,
    changeCars: world.changeCars,
    changeLog,
    outcomes,
    signal: within,
    onBusy,
  });
}

/** Of all processors together, since the machine began. */
function readBusyMs(): number {
  return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
}

function sharesOf(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  seconds: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after).map(([part, us]) => [
      part,
      Math.round(((us - (before[part] ?? 0)) / 1e6 / seconds) * 100) / 100,
    ]),
  );
}
