import { setTimeout as delay } from "node:timers/promises";
import type { FaultKind } from "@caas/simulator/link/fault-schedule.ts";
import { forEachAtOnce } from "@caas/simulator/run/pace.ts";
import { type ActivationEnds, watchActivationEnds } from "../lab/activation-ends.ts";
import { withClient } from "../lab/database.ts";
import { audit } from "./audit.ts";
import { collectEvidence } from "./collect-evidence.ts";
import type { Bought } from "./customers-bank.ts";
import type { Evidence } from "./evidence.ts";
import { judgeRun, type OtaReport } from "./judge-run.ts";
import { type OtaOptions, type OtaPlan, planOta } from "./ota-plan.ts";
import { countRarePaths, planRarePaths, type RareCounts } from "./rare-paths.ts";
import { openRehearsedPlatform, type RehearsedPlatform } from "./rehearsed-platform.ts";
import { waitUntilSettled } from "./settle.ts";
import { type Trade, trade } from "./trade.ts";
import { watchInvariants } from "./watch-invariants.ts";

/** `failures`: sentences; none when everything held and every planned fault fired. */
export type OtaResult = { report: OtaReport; failures: readonly string[] };

export type Frame = {
  /** ^C: end soon, and leave nothing running. */
  signal: AbortSignal;
  say(line: string): void;
  /** Changes what was found, to see that the audit notices; `null`: it is judged as it is. */
  tamper: ((evidence: Evidence) => Evidence) | null;
  /** Stores, logs and journals are here. */
  dataDir: string;
};

/** Business days: after the first sleep cars come back, the second passes the end of every hold (7 days). */
const firstSleepDays = 3;
const secondSleepDays = 5;
/**
 * Nothing ended for this long: what is left waits for a backoff, which the days that pass cut short, or for a message
 * that was lost, which the next connection repeats.
 */
const silenceMs = 10_000;
const silenceInSmallMs = 3_000;
/** Nothing at all ended for this long: the auditor names what is left. */
const patienceMs = 120_000;
const settledAtOnce = 8;
const sayEveryMs = 5_000;
const endLookEveryMs = 200;

/**
 * The whole platform with thousands of real agents on a bad network, parts killed at named places, days of sleep;
 * then an audit by the stand-ins' own stores and the cars' slots.
 * @throws Error when it could not be run to its end
 */
export async function rehearseOta(options: OtaOptions, frame: Frame): Promise<OtaResult> {
  const plan = planOta(options);
  frame.say(`Schedule ${plan.schedule}: ${plan.kills.length + plan.wallKills.length} kills planned`);
  const rehearsed = await openRehearsedPlatform(plan, frame.dataDir, frame.signal);
  try {
    return await rehearseIn(rehearsed, plan, frame);
  } finally {
    await rehearsed.close();
  }
}

async function rehearseIn(rehearsed: RehearsedPlatform, plan: OtaPlan, frame: Frame): Promise<OtaResult> {
  const { signal } = frame;
  const { staff, databaseUrl, bank, damagedCars } = rehearsed;
  const ends = watchActivationEnds({ databaseUrl, lookEveryMs: endLookEveryMs, withPayment: false });
  const invariants = watchInvariants(staff);
  const stopSaying = sayProgress(rehearsed, plan, ends, frame);
  try {
    const tooLong = vinsOf(rehearsed, (car) => car.fate.kind === "sleepsTooLong");
    const beforeBuying = vinsOf(rehearsed, ({ fate }) => fate.kind === "sleepsForDays" && fate.beforeBuying);
    rehearsed.cutOff([...tooLong, ...beforeBuying]);
    const cancelKills = scheduleWallKills(rehearsed, plan);
    const endFaults = bank.beginFaults(plan.gatewayFaults);
    const traded = await trade(plan, rehearsed, { ends, signal });
    const quietMs = plan.isSmall ? silenceInSmallMs : silenceMs;
    await untilQuiet(ends, traded, signal, quietMs);
    await cancelKills();
    const gateway = await endFaults();
    frame.say("Money goes back: by support, by banks, by hand at the gateway");
    const unpaid = await settlePaid(listBought(plan, rehearsed, traded), rehearsed);

    frame.say(`${firstSleepDays} days pass; cars that were away for days come back`);
    await rehearsed.advance(
      firstSleepDays,
      vinsOf(rehearsed, ({ fate }) => fate.kind === "sleepsForDays" || fate.kind === "provesLate"),
    );
    const awaited = { ...traded, asleep: asleepIn(traded, tooLong) };
    await untilQuiet(ends, awaited, signal, quietMs);
    // A message that was lost with a connection is repeated on the next.
    rehearsed.heal();
    await untilQuiet(ends, awaited, signal, patienceMs);
    await forEachAtOnce(unpaid, settledAtOnce, (one) => bank.settleLater(one, staff));

    if (!plan.isSmall) {
      frame.say(`${secondSleepDays} more days pass: every hold has ended`);
      await rehearsed.advance(secondSleepDays, []);
      await untilQuiet(ends, { ...traded, asleep: new Set() }, signal, patienceMs);
      rehearsed.reach(tooLong);
    }
    await waitUntilSettled(rehearsed, patienceMs, signal);
    signal.throwIfAborted();

    frame.say("Auditing");
    const collected = await collectEvidence(rehearsed, traded.asked);
    const evidence = frame.tamper === null ? collected : frame.tamper(collected);
    const { verdict, offenders } = audit(evidence);
    const { spoilt, crashes } = rehearsed.situation;
    const report: OtaReport = {
      activations: plan.activations,
      ...verdict,
      worstViolationMs: invariants.worst().ms,
      faults: {
        ...countFaults(spoilt),
        crashes: { ...crashes },
        kills: rehearsed.kills.counts(),
        damages: damagedCars.counts(),
        gateway,
        lostAnswers: rehearsed.lostAnswers(),
      },
      rare: await countRare(rehearsed, evidence),
      schedule: plan.schedule,
    };
    return {
      report,
      failures: judgeRun({
        report,
        offenders,
        troubles: [...rehearsed.failures, ...damagedCars.missing(), ...damagedCars.waiting()],
        plannedCrashes: listPlannedCrashes(plan),
        missingKills: rehearsed.kills.missing(),
        plannedRarePaths: planRarePaths(plan),
        worstViolation: invariants.worst(),
        invariantSamples: invariants.samples(),
      }),
    };
  } finally {
    stopSaying();
    await invariants.stop();
    await ends.close();
  }
}

/** Purchases whose money goes back, or whose hold is lost. */
function listBought(plan: OtaPlan, { cars }: RehearsedPlatform, { asked }: Trade): Bought[] {
  return plan.purchases.flatMap(({ car, payment, later }, index) => {
    const activationId = asked[index]?.activationId ?? null;
    const owner = cars[car]?.owner;
    const isMeant = later !== "kept" || payment === "losesHold";
    return isMeant && activationId !== null && owner !== undefined
      ? [{ payment, later, activationId, owner }]
      : [];
  });
}

/** Lets holds go, and the money of services that are paid. @returns those that are not paid yet */
async function settlePaid(bought: readonly Bought[], { bank, staff }: RehearsedPlatform): Promise<Bought[]> {
  const unpaid: Bought[] = [];
  await forEachAtOnce(bought, settledAtOnce, async (one) => {
    if (one.payment === "losesHold") await bank.voidHold(one);
    else if (await bank.isPaid(one)) await bank.settleLater(one, staff);
    else unpaid.push(one);
  });
  return unpaid;
}

async function countRare(
  { databaseUrl, bank, damagedCars, cars }: RehearsedPlatform,
  { commits, intents }: Evidence,
): Promise<RareCounts> {
  const wrong = new Set(cars.filter(({ fate }) => fate.kind === "wrongClock").map(({ vin }) => vin));
  const applied = new Set(commits.flatMap(({ vin, result }) => (result === "applied" ? [vin] : [])));
  const seen = {
    networkFailed: intents.reduce((sum, one) => sum + one.networkErrors, 0),
    lostWebhook: await bank.countLostWebhooks(),
    healed: damagedCars.healed().length,
    enrolledAgain: damagedCars.enrolledAgain().size,
    wrongClock: wrong.intersection(applied).size,
  };
  return withClient(databaseUrl, (client) => countRarePaths(client, seen, commits));
}

function countFaults(link: Readonly<Record<string, number>>): Record<FaultKind, number> {
  const { dropped = 0, duplicated = 0, reordered = 0, delayed = 0, forged = 0, replayed = 0 } = link;
  return { dropped, duplicated, reordered, delayed, forged, replayed };
}

/** The steps at which a car of the plan is to lose power. */
function listPlannedCrashes({ cars }: OtaPlan): ReadonlySet<string> {
  return new Set(
    cars.flatMap(({ fate }) =>
      fate.kind === "crashes"
        ? [fate.at]
        : fate.kind === "unhealthy" && fate.crash !== null
          ? [fate.crash.at]
          : [],
    ),
  );
}

function vinsOf(
  rehearsed: RehearsedPlatform,
  isMeant: (car: RehearsedPlatform["cars"][number]) => boolean,
): string[] {
  return rehearsed.cars.filter(isMeant).map(({ vin }) => vin);
}

function asleepIn({ asked, asleep }: Trade, vins: readonly string[]): ReadonlySet<string> {
  const away = new Set(vins);
  return new Set(
    asked.flatMap(({ vin, activationId }) =>
      activationId !== null && asleep.has(activationId) && away.has(vin) ? [activationId] : [],
    ),
  );
}

/** Until no reachable car has a purchase under way, or nothing has ended for `longestSilenceMs`. */
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

/** Schedules the kills by the clock; the returned function waits for those still to come. */
function scheduleWallKills(rehearsed: RehearsedPlatform, plan: OtaPlan): () => Promise<void> {
  const kills = plan.wallKills.map(
    ({ part, afterMs }) =>
      new Promise<void>((resolve) => {
        setTimeout(() => {
          rehearsed.kill(part);
          resolve();
        }, afterMs);
      }),
  );
  return async () => void (await Promise.all(kills));
}

function sayProgress(
  rehearsed: RehearsedPlatform,
  plan: OtaPlan,
  ends: ActivationEnds,
  frame: Frame,
): () => void {
  const beganAt = performance.now();
  const timer = setInterval(() => {
    const ended = ends.ended();
    const spentS = (performance.now() - beganAt) / 1000;
    const leftS = ended === 0 ? "?" : Math.ceil((spentS / ended) * (plan.activations - ended));
    const { spoilt, crashes, connected } = rehearsed.situation;
    const sum = (counts: Readonly<Record<string, number>>) =>
      Object.values(counts).reduce((total, count) => total + count, 0);
    frame.say(
      `${ended} of ${plan.activations} activations ended, about ${leftS} s left; ${connected} cars connected; ` +
        `${sum(spoilt)} packets spoilt, ${sum(crashes)} crashes, ${sum(rehearsed.kills.counts())} kills`,
    );
  }, sayEveryMs);
  return () => clearInterval(timer);
}
