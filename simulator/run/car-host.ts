import { writeSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { EnrolmentPackage } from "@caas/contract/enrolment.ts";
import {
  createFailpoints,
  type FailpointPlan,
  formatDeath,
  parseFailpointPlan,
} from "@caas/contract/failpoints.ts";
import { emptyManifestHash, manifestHash } from "@caas/contract/manifest.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { agentClock } from "@caas/vehicle-agent/clock/agent-clock.ts";
import { type FailpointName, failpointNames } from "@caas/vehicle-agent/failpoints.ts";
import { modelCar } from "../behaviour/model-car.ts";
import { type DealtKind, dealKinds } from "../behaviour/profile.ts";
import { Weather, weatherReasons } from "../behaviour/weather.ts";
import { drawExponential } from "../chance/draw.ts";
import { deriveSeed, seededRandom } from "../chance/seeded-random.ts";
import { createFleet, type Fleet, type FleetOptions } from "../fleet/fleet.ts";
import type { FleetCar } from "../fleet/fleet-car.ts";
import { countOne } from "../fleet/fleet-counts.ts";
import { type CarProfile, healthy } from "../fleet/profiles.ts";
import { createFaultCounts, createFaultSchedule } from "../link/fault-schedule.ts";
import { createLossyLink, type LossyLink } from "../link/lossy-link.ts";
import { emptyNews, explainWaiting, merge, plainReason } from "./collected-news.ts";
import { keepCommits } from "./commits-file.ts";
import type { Command, HeldByCar, Prepare, Told } from "./host-messages.ts";
import { forEachAtOnce, nowMs, until } from "./pace.ts";

/** More at once only fight for the processor. */
const comingUpAtOnce = 128;
const newsEveryMs = 200;

export type CarHost = {
  readonly cars: readonly { vin: string; carKind: string }[];
  /** Resolves when all cars it is about have done it, or failed to for the first time. */
  perform(command: Exclude<Command, Prepare>): Promise<unknown>;
};

/** Cars of one process: wakes them, exposes them to the weather, and tells what became of them. */
export async function startCarHost(options: Prepare, say: (told: Told) => void): Promise<CarHost> {
  const emptyRssBytes = process.memoryUsage.rss();
  const { seed } = options;
  const clock = agentClock(options.businessTime ?? undefined);
  const kindOf = dealKinds(options.profile, seed);
  const dealt = new Map<string, DealtKind>();
  const weather = new Map<string, Weather>();
  const lossy = new Map<string, LossyLink>();
  const spoilt = createFaultCounts();
  const outOfReach = new Set(options.outOfReach);
  let isHealed = options.isHealed;
  /** When a car was meant to be connected; absent while it is. */
  const wantedSince = new Map<string, number>();
  /** Cars that must be connected, as far as the scenario goes. */
  const wanted = new Set<string>();
  /** Their links are lost next. */
  const lostPower = new Set<string>();
  const fleets: Fleet[] = [];
  const cars = new Map<string, FleetCar>();
  const lag = monitorEventLoopDelay({ resolution: 10 });
  lag.enable();
  let collected = emptyNews();
  const stopping = new AbortController();

  function kindOfCar(vin: string): DealtKind {
    const known = dealt.get(vin) ?? kindOf(vin);
    dealt.set(vin, known);
    return known;
  }

  /** One schedule per kind: its hash names what is done to the kind's packets. */
  function lossyLinkOf({ name, kind }: DealtKind): LossyLink | null {
    if (kind.link === undefined) return null;
    const known = lossy.get(name);
    if (known !== undefined) return known;
    const schedule = createFaultSchedule({
      seed: deriveSeed(seed, name),
      toCar: kind.link,
      fromCar: kind.link,
    });
    const made = createLossyLink({ schedule, counts: spoilt });
    lossy.set(name, made);
    return made;
  }

  const modelled = (vin: Vin): CarProfile => ({
    kind: "modelled",
    ...modelCar({
      kind: kindOfCar(vin).kind,
      random: seededRandom(deriveSeed(seed, "behaviour", vin)),
      clock,
      onShown(messages) {
        const [newest] = messages;
        if (newest?.content.kind === "linkingCode") collected.codes.push({ vin, code: newest.content.code });
      },
    }),
  });

  const underWeather: LossyLink = (vin, transport) => {
    const { name, kind } = kindOfCar(vin);
    const over = new Weather({
      vin,
      kind,
      random: seededRandom(deriveSeed(seed, "weather", vin)),
      realDelayMs: (ms) => clock.realDelayMs(ms),
      onRefused: (reason) => countOne(collected.notConnected, plainReason(reason)),
      onAttack: (attack) => countOne(collected.attacks, attack),
    });
    weather.set(vin, over);
    if (outOfReach.has(vin)) over.cut("out of reach", Number.POSITIVE_INFINITY);
    const within = over.over(transport);
    const spoiling = lossyLinkOf({ name, kind })?.(vin, within);
    if (spoiling === undefined) return within;
    return { connect: (wanted) => (isHealed ? within : spoiling).connect(wanted) };
  };

  function leave(vin: string): void {
    outOfReach.add(vin);
    weather.get(vin)?.cut("out of reach", Number.POSITIVE_INFINITY);
  }

  const { fates } = options;
  const profileOf = fates === null ? modelled : (vin: Vin): CarProfile => fates[vin] ?? healthy;
  const failpoint = createFailpoints(readFailpoints(options.failpoints), (name, passage) => {
    writeSync(process.stderr.fd, `${formatDeath(name, passage)}\n`);
    process.kill(process.pid, "SIGKILL");
  });

  async function addFleet(own: Pick<FleetOptions, "storage" | "packages" | "firstIndex">): Promise<Fleet> {
    const fleet = await createFleet({
      ...own,
      seed,
      clock,
      profileOf,
      failpoint,
      lossyLink: underWeather,
      ...(options.brokerUrl === null ? {} : { brokerUrl: options.brokerUrl }),
    });
    fleets.push(fleet);
    for (const [vin, car] of fleet.cars) cars.set(vin, car);
    if (options.commitsFile !== null) keepCommits(fleet, options.commitsFile);
    fleet.on("connected", (vin) => {
      const since = wantedSince.get(vin);
      wantedSince.delete(vin);
      if (since !== undefined) collected.connectMs.push(performance.now() - since);
    });
    fleet.on("crashed", (vin) => {
      lostPower.add(vin);
      const fate = fates?.[vin];
      if (fate?.kind === "crashes" && fate.staysAway === true) leave(vin);
    });
    fleet.on("needsEnrolment", (vin) => say({ kind: "needsEnrolment", vin }));
    fleet.on("disconnected", (vin, reason) => {
      const hasNoPower = lostPower.delete(vin);
      if (!wanted.has(vin)) return;
      const isWeather = weatherReasons.some((known) => known === reason);
      // A power loss is also what its kind wants.
      if (isWeather) countOne(collected.weather, reason);
      else if (hasNoPower || reason === "power lost") countOne(collected.weather, "power lost");
      else if (kindOfCar(vin).kind.attacks !== undefined) countOne(collected.weather, "after an attack");
      else if (reason !== "asleep" && reason !== "closed") {
        countOne(collected.drops, plainReason(reason));
        wantedSince.set(vin, performance.now());
      }
    });
    if (!options.tellsOutcomes) return fleet;
    fleet.on("outcome", (vin, outcome) => {
      const atMs = nowMs();
      const result = outcome.result === "applied" ? "applied" : outcome.reason;
      collected.outcomes.push({ vin, version: outcome.version, atMs, result });
    });
    return fleet;
  }

  function tell(): void {
    const counts = fleets.map((fleet) => fleet.counts);
    const sum = (of: (one: Fleet["counts"]) => number) => counts.reduce((total, one) => total + of(one), 0);
    const { user, system } = process.cpuUsage();
    say({
      ...collected,
      connected: sum((one) => one.connected),
      doubleApplies: sum((one) => one.doubleApplies),
      forgedAccepted: sum((one) => one.forgedAccepted),
      reports: sum((one) => one.reports),
      failed: merge(counts.map((one) => one.failed)),
      refused: merge(counts.map((one) => one.refused)),
      crashes: merge(counts.map((one) => one.crashes)),
      spoilt: { ...spoilt },
      rssBytes: process.memoryUsage.rss(),
      emptyRssBytes,
      cpuMs: (user + system) / 1000,
      loopLagMs: Math.max(0, lag.max / 1e6 - 10),
    });
    lag.reset();
    collected = emptyNews();
  }

  /** Cars that sleep by habit: online and offline in turns, with a goodbye. */
  async function liveByHabit(car: FleetCar): Promise<void> {
    const { connectivity } = kindOfCar(car.vin).kind;
    if (connectivity === undefined || !connectivity.goodbye) return;
    const random = seededRandom(deriveSeed(seed, "habit", car.vin));
    const pause = (meanSeconds: number) =>
      delay(clock.realDelayMs(drawExponential(random, meanSeconds * 1000)), undefined, {
        signal: stopping.signal,
        ref: false,
      });
    while (wanted.has(car.vin)) {
      await pause(connectivity.onlineSeconds);
      await car.sleep();
      await pause(connectivity.offlineSeconds);
      if (wanted.has(car.vin)) await car.wake();
    }
  }

  /** Each car has its turn when it is due; only a limited number come up at once. */
  async function inTurn(
    vins: readonly string[],
    overMs: number,
    work: (car: FleetCar) => Promise<void>,
  ): Promise<void> {
    const startedMs = nowMs();
    await forEachAtOnce(vins.entries(), comingUpAtOnce, async ([index, vin]) => {
      const car = cars.get(vin);
      const dueMs = startedMs + (overMs * index) / vins.length;
      if (car !== undefined && (await until(dueMs, stopping.signal))) await work(car);
    });
  }

  async function perform(command: Exclude<Command, Prepare>): Promise<unknown> {
    switch (command.kind) {
      case "wake":
        await inTurn(command.vins, command.overMs, async (car) => {
          const isNew = !wanted.has(car.vin);
          wanted.add(car.vin);
          if (car.isAwake) return;
          wantedSince.set(car.vin, performance.now());
          await car.wake();
          if (isNew) liveByHabit(car).catch(() => undefined);
        });
        return;
      case "sleep":
        await inTurn(command.vins, command.overMs, async (car) => {
          wanted.delete(car.vin);
          wantedSince.delete(car.vin);
          await car.sleep();
        });
        return;
      case "cut":
        for (const vin of command.vins) {
          if (cars.get(vin)?.isConnected !== true) continue;
          wantedSince.set(vin, performance.now() + command.forMs);
          weather.get(vin)?.cut(command.reason, command.forMs);
        }
        return;
      case "cutOff":
        for (const vin of command.vins) leave(vin);
        return;
      case "reach":
        for (const vin of command.vins) {
          outOfReach.delete(vin);
          weather.get(vin)?.clear();
        }
        return;
      case "heal":
        isHealed = true;
        for (const vin of command.vins) weather.get(vin)?.cut("storm", 0);
        return;
      case "adopt":
        return adopt(command.package);
      case "enrolAgain":
        return cars.get(command.package.vin)?.enrolAgain(command.package);
      case "explain": {
        const reasons: Record<string, number> = {};
        for (const vin of command.vins) countOne(reasons, explainWaiting(cars.get(vin)));
        return reasons;
      }
      case "show":
        return Promise.all(command.vins.flatMap((vin) => cars.get(vin) ?? []).map(show));
      case "stop":
        stopping.abort();
        clearInterval(telling);
        wanted.clear();
        tell();
        await Promise.all(fleets.map((fleet) => fleet.stop()));
        return;
    }
  }

  async function adopt(given: EnrolmentPackage): Promise<void> {
    const fleet = await addFleet({
      packages: [given],
      storage: { folder: join(options.folder, given.vin) },
      firstIndex: options.firstIndex + cars.size,
    });
    for (const car of fleet.cars.values()) {
      wanted.add(car.vin);
      await car.wake();
      say({ kind: "adopted", vin: car.vin, carKind: kindOfCar(car.vin).name });
    }
  }

  await addFleet(
    options.storage === "disks"
      ? { storage: { disks: options.folder }, firstIndex: options.firstIndex }
      : {
          packages: options.packages,
          storage: { folder: options.folder },
          firstIndex: options.firstIndex,
        },
  );
  const telling = setInterval(tell, newsEveryMs);
  return { cars: [...cars.keys()].map((vin) => ({ vin, carKind: kindOfCar(vin).name })), perform };
}

async function show(car: FleetCar): Promise<HeldByCar> {
  const held = await car.configuration();
  return {
    vin: car.vin,
    hash: held === null ? emptyManifestHash : manifestHash(held.entries),
    codes: (held?.entries ?? []).map(({ code }) => code),
  };
}

function readFailpoints(text: string): FailpointPlan<FailpointName> {
  if (text === "") return new Map();
  const plan = parseFailpointPlan(text, failpointNames);
  if (plan === undefined) throw new Error(`"${text}" is no plan of agents' failpoints`);
  return plan;
}
