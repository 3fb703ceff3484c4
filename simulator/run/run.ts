import { setTimeout as delay } from "node:timers/promises";
import type { Profile } from "../behaviour/profile.ts";
import { wordsOf } from "../command/run.ts";
import { openAccounts } from "../customers/accounts.ts";
import { type Buyers, openBuyers } from "../customers/buyers.ts";
import { openSellers, type Sellers } from "../customers/sellers.ts";
import { type ChangeListener, type ChangeLog, createChangeLog } from "../measure/change-log.ts";
import { createLatencies, type Latencies } from "../measure/latencies.ts";
import { createSeries, type Series } from "../measure/series.ts";
import type { Scenario } from "../scenarios/scenario.ts";
import { type CarHosts, readParts, startCarHosts } from "./car-hosts.ts";
import { createOutcomes, type Outcomes } from "./outcomes.ts";
import { nowMs } from "./pace.ts";
import { describePlan, planSteps } from "./plan-steps.ts";
import { playSteps } from "./play-steps.ts";
import { keepSituation, type Situation } from "./situation.ts";
import type { Owner, World } from "./world.ts";

export type RunOptions = {
  world: World;
  scenario: Scenario;
  profile: Profile;
  seed: number;
  processes: number;
  /** Parts of the fleet are kept below it. */
  folder: string;
  /** ^C: come to an end soon, with what there is. */
  signal: AbortSignal;
  /** Called with what happens, for live views. */
  listener: RunListener;
};

export type Phase = "connecting" | "playing" | "settling" | "ended";

export type RunListener = ChangeListener & {
  phase(phase: Phase, run: Running): void;
  /** Something a person should know: a state, not a counter. */
  said(sentence: string): void;
};

/** A run as it goes. */
export type Running = {
  readonly vehicles: number;
  readonly startedMs: number;
  /** When the present phase is expected to end. */
  readonly dueMs: number;
  readonly situation: Readonly<Situation>;
  readonly changeLog: ChangeLog;
  readonly series: Series;
  readonly connectLatencies: Latencies;
  readonly reconnectLatencies: Latencies;
  readonly buyers: Buyers | null;
  readonly sellers: Sellers | null;
};

export type Finished = Running & {
  /** Cars connected when the ramp had ended. */
  connectedAfterRamp: number;
  /** Cars that were to be connected at the end. */
  wanted: number;
  connectsPerSecond: number;
  /** Kinds of cars and how many of each. */
  carKinds: ReadonlyMap<string, number>;
  /** What cars wait for whose change has not ended. */
  pendingBecause: Readonly<Record<string, number>>;
  /** Event loops of the hosts: the longest lag while the steps were played. */
  generatorLagMs: number;
  /** What did not go as it should with the run itself. */
  troubles: readonly string[];
};

/** How long cars may take to connect after the ramp before the run goes on without them. */
const connectPatienceMs = 30_000;
const secondMs = 1_000;

/** Plays a scenario with real agents from the first connection to the last report. @throws when no car can be prepared */
export async function run(options: RunOptions): Promise<Finished> {
  const { world, scenario, signal, listener } = options;
  const outcomes = createOutcomes();
  const keeper = keepSituation();
  const series = createSeries();
  const troubles: string[] = [];
  const trouble = (sentence: string): void => {
    troubles.push(sentence);
    listener.said(sentence);
  };
  const hosts = await startCarHosts(options);
  const keepCars = async (): Promise<void> =>
    world.keepCars?.(await readParts(options.folder, options.processes));
  const ending = new AbortController();
  const stopped = AbortSignal.any([signal, ending.signal]);
  try {
    // At once: a token enrols a car only once, however the run ends.
    if (world.packages.length > 0) await keepCars();
    const kindOfCar = (vin: string) => hosts.cars.get(vin) ?? "new";
    const changeLog = createChangeLog(kindOfCar, {
      sent(change) {
        series.sent();
        listener.sent(change);
      },
      ended(change, latencyMs) {
        if (change.end?.result === "applied") series.applied(latencyMs);
        else series.failed();
        listener.ended(change, latencyMs);
      },
      attempted: (result) => listener.attempted(result),
    });
    const stage = createStage(options, { hosts, outcomes, changeLog, signal: stopped });
    const startedMs = nowMs();
    const connectLatencies = createLatencies();
    const reconnectLatencies = createLatencies();
    let isComingUp = true;
    hosts.on("news", (news, host) => {
      keeper.hear(news, host);
      for (const { vin, version, atMs, result } of news.outcomes)
        outcomes.heard(vin, version, { atMs, result });
      for (const ms of news.connectMs) (isComingUp ? connectLatencies : reconnectLatencies).record(ms);
      series.dropped(Object.values(news.drops).reduce((total, count) => total + count, 0));
      for (const { vin, code } of news.codes) stage.sellers?.codeShown(vin, code);
    });
    hosts.on("lost", (host, { why }) => {
      keeper.lost(host);
      trouble(why);
    });
    series.tick(0, 0);
    const ticking = setInterval(
      () => series.tick((nowMs() - startedMs) / 1000, keeper.now.connected),
      secondMs,
    );
    const running = {
      // Cars are sold while it runs.
      get vehicles() {
        return hosts.cars.size;
      },
      startedMs,
      dueMs: startedMs + scenario.ramp,
      situation: keeper.now,
      changeLog,
      series,
      connectLatencies,
      reconnectLatencies,
      buyers: stage.buyers,
      sellers: stage.sellers,
    };
    const enter = (phase: Phase, forMs: number): void => {
      running.dueMs = nowMs() + forMs;
      listener.phase(phase, running);
    };
    try {
      enter("connecting", scenario.ramp);
      const connectsPerSecond = await comeUp(hosts, { rampMs: scenario.ramp, signal }, running, trouble);
      isComingUp = false;
      const connectedAfterRamp = keeper.now.connected;
      keeper.takeLag();
      const wanted = new Set(hosts.cars.keys());
      hosts.on("adopted", (vin) => wanted.add(vin));
      enter("playing", scenario.duration);
      const plans = planSteps(scenario, options.seed);
      listener.said(`Plan ${describePlan(scenario, plans)}`);
      await playSteps({
        ...options,
        ...stage,
        plans,
        hosts,
        changeLog,
        outcomes,
        wanted,
        trouble,
        say: listener.said,
        signal: stopped,
      });
      const generatorLagMs = keeper.takeLag();
      enter("settling", scenario.settle);
      const patience = AbortSignal.any([signal, AbortSignal.timeout(scenario.settle)]);
      await Promise.all([stage.buyers?.untilServed(patience), changeLog.untilSettled(patience)]);
      await backAgain(keeper.now, wanted.size, options, patience);
      await stage.sellers?.untilSettled(patience);
      series.tick((nowMs() - startedMs) / 1000, keeper.now.connected);
      // A process of cars that has ended explains nothing any more.
      const pendingBecause = await hosts.explain(changeLog.listOpen()).catch(() => ({}));
      const finished = {
        ...running,
        vehicles: hosts.cars.size,
        situation: structuredClone(keeper.now),
        connectedAfterRamp,
        wanted: wanted.size,
        connectsPerSecond,
        carKinds: countKinds(hosts.cars),
        generatorLagMs,
        pendingBecause,
        troubles: [...troubles, ...world.failures()],
      };
      listener.phase("ended", finished);
      return finished;
    } finally {
      clearInterval(ticking);
    }
  } finally {
    ending.abort();
    await hosts.stop();
    await keepCars();
  }
}

type Stage = { buyers: Buyers | null; sellers: Sellers | null; owners: Owner[] };

/** Buyers and sellers, where the world has a REST interface. */
function createStage(
  { world }: RunOptions,
  around: { hosts: CarHosts; outcomes: Outcomes; changeLog: ChangeLog; signal: AbortSignal },
): Stage {
  const owners = [...world.owners];
  const { restUrl, makeKnown } = world;
  if (restUrl === null) return { buyers: null, sellers: null, owners };
  const { hosts, outcomes, changeLog, signal } = around;
  // Cars sold during the run are known to the workshops by their delivery.
  const sold = new Set<string>();
  const accounts = openAccounts(
    restUrl,
    makeKnown === null ? null : async (vin) => (sold.has(vin) ? undefined : makeKnown(vin)),
  );
  return {
    owners,
    buyers: openBuyers({ accounts, owners, changeLog, outcomes, signal }),
    sellers:
      world.dealership === null
        ? null
        : openSellers({
            restUrl,
            dealership: world.dealership,
            adopt: (given) => hosts.adopt(given),
            onSold(owner) {
              sold.add(owner.vin);
              owners.push(owner);
            },
            signal,
          }),
  };
}

/** Wakes every car; resolves when all are connected, or patience ends. @returns connects a second */
export async function comeUp(
  hosts: CarHosts,
  { rampMs, signal }: { rampMs: number; signal: AbortSignal },
  { situation, vehicles, startedMs }: Pick<Running, "situation" | "vehicles" | "startedMs">,
  trouble: (sentence: string) => void,
): Promise<number> {
  const deadline = startedMs + rampMs + connectPatienceMs;
  const woken = hosts.wake([...hosts.cars.keys()], rampMs).catch((error: unknown) => {
    trouble(`cars did not come up: ${wordsOf(error)}`);
  });
  let isWoken = false;
  void woken.then(() => {
    isWoken = true;
  });
  let lastMs = startedMs;
  let last = 0;
  const reached = () => situation.connections >= vehicles || (isWoken && situation.connected >= vehicles);
  while (!reached() && nowMs() < deadline && !signal.aborted) {
    await delay(50, undefined, { signal }).catch(() => undefined);
    if (situation.connections > last) {
      last = situation.connections;
      lastMs = nowMs();
    }
    // Cars of the weather's own come and go: once each has had its turn, the run goes on.
    if (isWoken && situation.connections >= vehicles) break;
  }
  if (!signal.aborted && vehicles > 0 && situation.connected === 0) trouble(explainNone(situation));
  return Math.round((situation.connections / Math.max(0.001, (lastMs - startedMs) / 1000)) * 10) / 10;
}

function explainNone({ notConnected }: Situation): string {
  const [worst] = Object.entries(notConnected).toSorted(([, left], [, right]) => right - left);
  const why = worst === undefined ? "no car got an answer" : `${worst[0]} (${worst[1]} times)`;
  return `no car is connected: ${why}. Each goes on trying, with jitter, at most a minute apart`;
}

/** Cars that the scenario or a fault took away come back by themselves; the weather's come and go. */
async function backAgain(
  situation: Readonly<Situation>,
  wanted: number,
  { profile }: RunOptions,
  signal: AbortSignal,
): Promise<void> {
  const comesAndGoes = profile.mix.some(({ kind }) => typeof kind !== "string" || kind !== "steady");
  while (!comesAndGoes && situation.connected < wanted && !signal.aborted)
    await delay(100, undefined, { signal }).catch(() => undefined);
}

function countKinds(cars: ReadonlyMap<string, string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of cars.values()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return counts;
}
