import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type FaultKind, faultKinds } from "@caas/simulator/link/fault-schedule.ts";
import * as z from "zod";
import { createRestClient } from "../start/rest/rest-client.ts";
import { type ActivationEnds, watchActivationEnds } from "./activation-ends.ts";
import { audit, type Verdict } from "./audit.ts";
import { createRest } from "./customers.ts";
import { gatherEvidence } from "./gather-evidence.ts";
import { type OtaOptions, type OtaPlan, planOta } from "./ota-plan.ts";
import { waitUntilSettled } from "./settle.ts";
import { type Trade, trade } from "./trade.ts";
import { watchInvariants } from "./watch-invariants.ts";
import { openWorld, type World } from "./world.ts";

/** The last line with --json. */
export type OtaReport = { activations: number } & Verdict & {
    worstViolationMs: number;
    faults: Readonly<Record<FaultKind, number>> & {
      crashes: Readonly<Record<string, number>>;
      kills: Readonly<Record<string, number>>;
    };
    schedule: string;
  };

/** `failures`: sentences; none when everything held and every planned fault fired. */
export type OtaResult = { report: OtaReport; failures: readonly string[] };

export type Frame = {
  /** ^C: end soon, and leave nothing running. */
  signal: AbortSignal;
  say(line: string): void;
  /** Kept when it is given, for a look at the logs; a temporary folder that is removed otherwise. */
  keepIn?: string;
};

/** Business days: the first brings back who was away for days, the second passes the end of every hold (7 days). */
const firstSleepDays = 3;
const secondSleepDays = 5;
/**
 * Nothing ended for so long: whoever is left waits for a backoff, which the days that pass cut short, or for a word
 * that was lost, which the next connection says again.
 */
const silenceMs = 10_000;
const silenceInSmallMs = 3_000;
/** Nothing at all ended for so long: the auditor names who is left. */
const patienceMs = 120_000;
const sayEveryMs = 5_000;

/**
 * The whole platform with thousands of real agents on a bad network, parts killed at named places, days of sleep;
 * then an audit by the stand-ins' own stores and the cars' slots.
 * @throws Error when it could not be run to its end
 */
export async function rehearseOta(options: OtaOptions, frame: Frame): Promise<OtaResult> {
  const plan = planOta(options);
  const dataDir = frame.keepIn ?? mkdtempSync(join(tmpdir(), "caas-chaos-"));
  chmodSync(dataDir, 0o711); // the database's user passes through it
  frame.say(`Schedule ${plan.schedule}: ${plan.kills.length + plan.wallKills.length} kills planned`);
  try {
    const world = await openWorld(plan, dataDir, frame.signal);
    try {
      return await rehearseIn(world, plan, frame);
    } finally {
      await world.close();
    }
  } finally {
    if (frame.keepIn === undefined) rmSync(dataDir, { recursive: true, force: true });
  }
}

async function rehearseIn(world: World, plan: OtaPlan, frame: Frame): Promise<OtaResult> {
  const { signal } = frame;
  const baseUrl = () => world.platform().rest;
  const rest = createRest(baseUrl, signal);
  const ends = watchActivationEnds(world.databaseUrl);
  const invariants = watchInvariants(baseUrl, await signInAsAdmin(world));
  const stopSaying = sayProgress(world, plan, ends, frame);
  try {
    const tooLong = vinsOf(world, (car) => car.fate.kind === "sleepsTooLong");
    const beforeBuying = vinsOf(world, ({ fate }) => fate.kind === "sleepsForDays" && fate.beforeBuying);
    world.tell({ kind: "cutOff", vins: [...tooLong, ...beforeBuying] });
    const cancelKills = scheduleWallKills(world, plan);
    const traded = await trade(plan, world, { rest, ends, signal });
    const quietMs = plan.isSmall ? silenceInSmallMs : silenceMs;
    await untilQuiet(ends, traded, signal, quietMs);
    await cancelKills();

    frame.say(`${firstSleepDays} days pass; who was away for days comes back`);
    await world.advance(firstSleepDays, { outOfReach: tooLong, isHealed: false });
    const awaited = { ...traded, asleep: asleepIn(traded, tooLong) };
    await untilQuiet(ends, awaited, signal, quietMs);
    // Whoever's word was lost with a connection says it again with the next.
    world.tell({ kind: "heal" });
    await untilQuiet(ends, awaited, signal, patienceMs);

    if (!plan.isSmall) {
      frame.say(`${secondSleepDays} more days pass: every hold has ended`);
      await world.advance(secondSleepDays, { outOfReach: tooLong, isHealed: true });
      await untilQuiet(ends, { ...traded, asleep: new Set() }, signal, patienceMs);
      world.tell({ kind: "reach", vins: tooLong });
    }
    await waitUntilSettled(world, patienceMs, signal);
    signal.throwIfAborted();

    frame.say("Auditing");
    const evidence = await gatherEvidence(world, rest, traded.asked);
    const { verdict, offenders } = audit(evidence);
    const { link, crashes } = world.counts();
    const kills = world.kills.counts();
    const report: OtaReport = {
      activations: plan.activations,
      ...verdict,
      worstViolationMs: invariants.worstMs(),
      faults: { ...countFaults(link), crashes, kills },
      schedule: plan.schedule,
    };
    return {
      report,
      failures: [
        ...offenders,
        ...world.failures,
        ...missingFaults(plan, world),
        ...(invariants.samples() === 0 ? ["the invariants were never looked at"] : []),
        ...(verdict.active + verdict.gaveUp + verdict.denied === plan.activations
          ? []
          : [
              `${verdict.active} active, ${verdict.gaveUp} given up and ${verdict.denied} denied are not ${plan.activations} activations`,
            ]),
      ],
    };
  } finally {
    stopSaying();
    await invariants.stop();
    await ends.close();
  }
}

function countFaults(link: Readonly<Record<string, number>>): Record<FaultKind, number> {
  const { dropped = 0, duplicated = 0, reordered = 0, delayed = 0, forged = 0, replayed = 0 } = link;
  return { dropped, duplicated, reordered, delayed, forged, replayed };
}

/** A planned fault that never happened proves nothing. */
function missingFaults(plan: OtaPlan, world: World): string[] {
  const { link, crashes } = world.counts();
  const places = new Set(
    plan.cars.flatMap(({ fate }) =>
      fate.kind === "crashes"
        ? [fate.at]
        : fate.kind === "unhealthy" && fate.crash !== null
          ? [fate.crash.at]
          : [],
    ),
  );
  return [
    ...faultKinds.filter((kind) => (link[kind] ?? 0) === 0).map((kind) => `no packet was ${kind}`),
    ...[...places]
      .filter((place) => (crashes[place] ?? 0) === 0)
      .map((place) => `no car crashed at ${place}`),
    ...world.kills.missing().map((name) => `the planned kill ${name} never fired`),
  ];
}

function vinsOf(world: World, isMeant: (car: World["cars"][number]) => boolean): string[] {
  return world.cars.filter(isMeant).map(({ vin }) => vin);
}

function asleepIn({ asked, asleep }: Trade, vins: readonly string[]): ReadonlySet<string> {
  const away = new Set(vins);
  return new Set(
    asked.flatMap(({ vin, activationId }) =>
      activationId !== null && asleep.has(activationId) && away.has(vin) ? [activationId] : [],
    ),
  );
}

/** Until nobody who can be reached is under way, or nothing has ended for `longestSilenceMs`. */
async function untilQuiet(
  ends: ActivationEnds,
  { asleep }: Pick<Trade, "asleep">,
  signal: AbortSignal,
  longestSilenceMs: number,
): Promise<void> {
  const from = performance.now();
  for (;;) {
    signal.throwIfAborted();
    if ([...ends.pending()].every((id) => asleep.has(id))) return;
    if (Math.min(ends.silentMs(), performance.now() - from) > longestSilenceMs) return;
    await delay(200, undefined, { signal });
  }
}

/** Kills by the clock, from now on; the answer waits for those still to come. */
function scheduleWallKills(world: World, plan: OtaPlan): () => Promise<void> {
  const kills = plan.wallKills.map(
    ({ part, afterMs }) =>
      new Promise<void>((resolve) => {
        setTimeout(() => {
          world.kill(part);
          resolve();
        }, afterMs);
      }),
  );
  return async () => void (await Promise.all(kills));
}

async function signInAsAdmin(world: World): Promise<string> {
  const { rest, staff } = world.platform();
  const answer = z.object({ token: z.string() });
  return (await createRestClient(rest).post("/api/sign-in", staff.admin, answer)).token;
}

function sayProgress(world: World, plan: OtaPlan, ends: ActivationEnds, frame: Frame): () => void {
  const beganAt = performance.now();
  const timer = setInterval(() => {
    const ended = ends.ended();
    const spentS = (performance.now() - beganAt) / 1000;
    const leftS = ended === 0 ? "?" : Math.ceil((spentS / ended) * (plan.activations - ended));
    const { link, crashes, connected } = world.counts();
    const sum = (counts: Readonly<Record<string, number>>) =>
      Object.values(counts).reduce((total, count) => total + count, 0);
    frame.say(
      `${ended} of ${plan.activations} activations ended, about ${leftS} s left; ${connected} cars connected; ` +
        `${sum(link)} packets spoilt, ${sum(crashes)} crashes, ${sum(world.kills.counts())} kills`,
    );
  }, sayEveryMs);
  return () => clearInterval(timer);
}
