import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@caas/contract/backoff.ts";
import type { Random } from "../chance/seeded-random.ts";
import type { Change, ChangeLog } from "../measure/change-log.ts";
import type { Outcomes } from "./outcomes.ts";
import { nowMs, until } from "./pace.ts";
import type { World } from "./world.ts";

export type BulkChangeOptions = {
  name: string;
  vins: readonly string[];
  overMs: number;
  waveSize: number;
  /** Tries after the first. */
  retries: number;
  changeCars: NonNullable<World["changeCars"]>;
  changeLog: ChangeLog;
  outcomes: Outcomes;
  random: Random;
  /** Ends tries after the first, too. */
  signal: AbortSignal;
  /** Begins no new wave. */
  noMore: AbortSignal;
  /** Hears of each change that found another one under way in its car. */
  onBusy?: () => void;
};

/** Until a car that failed gets the change again, and until one that was busy is asked again at the latest; real time. */
const againAfter = { firstMs: 500, longestMs: 8_000 };
/** Cars that wait are collected for this long before the platform is asked again for all of them. */
const collectMs = 50;
/** Waves whose transactions are under way; more would only wait for a connection to the database. */
const sendingAtOnce = 8;

/**
 * Changes many cars in waves that begin when they are due, however long the earlier ones take. Resolves when every
 * wave was sent; what cars make of it comes in time. Cars that are busy, and those that fail, get it again.
 */
export async function changeInBulk(options: BulkChangeOptions): Promise<void> {
  const { vins, waveSize, overMs, signal, changeLog, name, retries, outcomes } = options;
  const startedMs = nowMs();
  const waiting: { change: Change; tries: number }[] = [];
  let isCollecting = false;
  const sending = new Set<Promise<void>>();

  async function sendWaiting(): Promise<void> {
    await delay(collectMs, undefined, { ref: false });
    isCollecting = false;
    await send(waiting.splice(0));
  }

  function sendSoon(change: Change, tries: number): void {
    if (signal.aborted) return;
    waiting.push({ change, tries });
    if (isCollecting) return;
    isCollecting = true;
    void sendWaiting();
  }

  function sendAgain(change: Change, tries: number): void {
    setTimeout(() => sendSoon(change, tries), backoffMs(tries, options.random, againAfter)).unref();
  }

  /** When the car has ended its present change, and after a while in any case: the change may be another run's. */
  function sendWhenFree(change: Change, tries: number): void {
    if (tries === 0) options.onBusy?.();
    const timer = setTimeout(goOn, backoffMs(tries + 1, options.random, againAfter)).unref();
    const unwatch = outcomes.watch(change.vin, goOn);
    function goOn(): void {
      clearTimeout(timer);
      unwatch();
      sendSoon(change, tries + 1);
    }
  }

  function follow(change: Change, version: number): void {
    outcomes.expect(change.vin, version, ({ result, atMs }) => {
      if (result === "applied") {
        changeLog.attemptEnded(change, { result: "applied" });
        changeLog.end(change, { result: "applied", atMs });
        return;
      }
      changeLog.attemptEnded(change, { result: "failed", reason: result });
      if (change.attempts > retries) changeLog.end(change, { result: "failed", atMs, reason: result });
      else sendAgain(change, change.attempts);
    });
  }

  async function send(changes: readonly { change: Change; tries: number }[]): Promise<void> {
    if (changes.length === 0) return;
    // A platform that is away for a while leaves the cars as they were: they are tried again.
    const versions = await options.changeCars(changes.map(({ change }) => change.vin)).catch(() => null);
    for (const { change, tries } of changes) {
      if (versions === null) {
        sendAgain(change, tries + 1);
        continue;
      }
      const version = versions.get(change.vin);
      if (version === undefined) sendWhenFree(change, tries);
      else follow(change, version);
    }
  }

  const waves = Math.ceil(vins.length / waveSize);
  for (let wave = 0; wave < waves; wave += 1) {
    const dueMs = startedMs + (overMs * wave) / waves;
    if (!(await until(dueMs, options.noMore))) return;
    const changes = vins.slice(wave * waveSize, (wave + 1) * waveSize).map((vin) => ({
      change: changeLog.begin({ wave: name, kind: "bulk", vin, intendedMs: dueMs }),
      tries: 0,
    }));
    // The next wave does not wait for this one's transaction: the pace must not be the platform's.
    const sent: Promise<void> = send(changes).finally(() => sending.delete(sent));
    sending.add(sent);
    if (sending.size >= sendingAtOnce) await Promise.race(sending);
  }
  await Promise.all(sending);
}
