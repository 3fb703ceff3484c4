import { EventEmitter, once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { realClock } from "@caas/contract/business-clock.ts";
import { createEntitlements } from "@caas/control-plane/features/entitlements/entitlements.ts";
import { createManifests } from "@caas/control-plane/features/manifests/manifests.ts";
import type { Context } from "@caas/control-plane/lifecycle/context.ts";
import { stepsChannel } from "@caas/control-plane/lifecycle/record-step.ts";
import { openDatabase } from "@caas/control-plane/store/database.ts";
import { isConflict } from "@caas/control-plane/store/database-errors.ts";
import { createNotifyListener } from "@caas/control-plane/store/notify-listener.ts";
import { pino } from "pino";

// Rolls changes out to cars as the control plane's bulk entrance lets it: one transaction a wave.

/** `performance.timeOrigin` based, in ms: comparable with the database's clock on the same machine. */
export type Wave = { vehicleIds: string[]; intendedMs: number; committedMs: number };

export type RollOut = {
  waves: Wave[];
  changes: number;
  startedMs: number;
  /** When nothing was under way any more, as seen by the driver: not earlier than the last proof's commit. */
  provedMs: number;
};

export type RollOutDriver = {
  vehicleIds: readonly string[];
  /** Waves that were written again because the database undid them. */
  conflicts(): number;
  /** Closed loop: the next wave begins as soon as fewer than `underWay` cars have an unproved change. */
  rollOut(changes: number, shape: { wave: number; underWay: number }): Promise<RollOut>;
  /** Open loop: waves begin when they are due, however long the earlier ones take. */
  rollOutAtRate(changes: number, shape: { wave: number; perSecond: number }): Promise<RollOut>;
  close(): Promise<void>;
};

/**
 * Each look whether there is room for a wave counts rows, at the platform's expense: the driver looks when proofs were
 * committed, and not more often than this.
 */
const lookEveryMs = 20;
/** A ring may be missed. */
const lookAnywayMs = 250;
/** A healthy fleet proves in milliseconds; re-sends come after 10 s and more. */
const silenceMs = 60_000;
/** As often as the control plane itself tries. */
const conflictTries = 5;

const nowMs = (): number => performance.timeOrigin + performance.now();

/** @param signal ends a roll-out early: what is under way is still waited for, a few seconds */
export async function openRollOutDriver(
  databaseUrl: string,
  signal: AbortSignal,
  onChanged: (count: number) => void,
): Promise<RollOutDriver> {
  const opened = openDatabase(databaseUrl, 3, () => undefined);
  const context: Context = {
    db: opened.db,
    clock: realClock,
    realClock,
    random: Math.random,
    logger: pino({ level: "silent" }),
    // A roll-out only writes rows: what follows is the control plane's.
    publish: async (_tx, name) => {
      throw new Error(`a roll-out has nothing to say, and said ${name}`);
    },
  };
  const entitlements = createEntitlements(context, async () => undefined);
  const manifests = createManifests(context, { entitlements: () => entitlements, keySetVersion: () => 1 });
  const links = await opened.db.selectFrom("vehicle_links").select("vehicle_id").orderBy("vin").execute();
  const vehicleIds = links.map(({ vehicle_id }) => vehicle_id);
  const proofs = new EventEmitter();
  const listener = createNotifyListener({
    url: databaseUrl,
    channel: stepsChannel,
    onRing: () => proofs.emit("rung"),
    logger: context.logger,
  });
  await listener.start();
  /** A ring: the car that was changed longest ago is next. */
  const ring = [...vehicleIds];
  let release = 0;
  let conflicts = 0;

  async function changeNext(count: number, intendedMs: number): Promise<Wave> {
    const candidates = ring.splice(0, count);
    release += 1;
    const chosen = await writeWave(candidates);
    const committedMs = nowMs();
    const taken = new Set(chosen);
    // Whoever still has a change under way keeps its place.
    ring.unshift(...candidates.filter((id) => !taken.has(id)));
    ring.push(...chosen);
    onChanged(chosen.length);
    return { vehicleIds: chosen, intendedMs, committedMs };
  }

  /** Whoever was changed. A deadlock with what cars say ends one of the two; which, is chance. */
  async function writeWave(candidates: readonly string[]): Promise<string[]> {
    for (let tries = 1; ; tries += 1)
      try {
        return await writeWaveOnce(candidates);
      } catch (error) {
        if (!isConflict(error) || tries === conflictTries) throw error;
        conflicts += 1;
      }
  }

  async function writeWaveOnce(candidates: readonly string[]): Promise<string[]> {
    const { waiting } = await opened.db
      .transaction()
      .execute((tx) => manifests.changeMany(tx, candidates, { code: "release", configuration: { release } }));
    const left = new Set(waiting);
    return candidates.filter((id) => !left.has(id));
  }

  /** A dispatch goes with the proof of its change, so these few rows are all that is under way. */
  async function countUnderWay(): Promise<number> {
    const row = await opened.db
      .selectFrom("manifest_dispatches")
      .select(({ fn }) => fn.countAll<number>().as("count"))
      .executeTakeFirstOrThrow();
    return Number(row.count);
  }

  async function untilUnderWay(most: number): Promise<void> {
    let last = Number.POSITIVE_INFINITY;
    let movedMs = nowMs();
    for (;;) {
      const count = await countUnderWay();
      if (count <= most) return;
      if (count !== last) movedMs = nowMs();
      last = count;
      if (nowMs() - movedMs > (signal.aborted ? 3_000 : silenceMs)) return;
      const rung = once(proofs, "rung", { signal: AbortSignal.timeout(lookAnywayMs) });
      await Promise.all([rung.catch(() => undefined), delay(lookEveryMs)]);
    }
  }

  function sum(waves: readonly Wave[]): number {
    return waves.reduce((total, wave) => total + wave.vehicleIds.length, 0);
  }

  return {
    vehicleIds,
    conflicts: () => conflicts,
    async rollOut(changes, { wave, underWay }) {
      const waves: Wave[] = [];
      const startedMs = nowMs();
      for (let left = changes; left > 0 && !signal.aborted; ) {
        const size = Math.min(wave, left, ring.length);
        await untilUnderWay(Math.max(0, underWay - size));
        const next = await changeNext(size, nowMs());
        if (next.vehicleIds.length === 0) await delay(lookEveryMs);
        else waves.push(next);
        left -= next.vehicleIds.length;
      }
      await untilUnderWay(0);
      return { waves, changes: sum(waves), startedMs, provedMs: nowMs() };
    },
    async rollOutAtRate(changes, { wave, perSecond }) {
      const waves: Wave[] = [];
      const startedMs = nowMs();
      let dueMs = startedMs;
      for (let left = changes; left > 0 && !signal.aborted; ) {
        const size = Math.min(wave, left, ring.length);
        await delay(Math.max(0, dueMs - nowMs()), undefined, { signal }).catch(() => undefined);
        const next = await changeNext(size, dueMs);
        if (next.vehicleIds.length === 0) await delay(lookEveryMs);
        else waves.push(next);
        left -= next.vehicleIds.length;
        dueMs += (next.vehicleIds.length / perSecond) * 1000;
      }
      await untilUnderWay(0);
      return { waves, changes: sum(waves), startedMs, provedMs: nowMs() };
    },
    async close() {
      await listener.stop();
      await opened.close();
    },
  };
}
