import { EventEmitter, once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { realClock } from "@caas/contract/business-clock.ts";
import { stepsChannel } from "@caas/control-plane/lifecycle/record-step.ts";
import { openDatabase } from "@caas/control-plane/store/database.ts";
import { createNotifyListener } from "@caas/control-plane/store/notify-listener.ts";
import { nowMs, until } from "@caas/simulator/run/pace.ts";
import { pino } from "pino";
import { openRollOuts } from "../../lab/roll-outs.ts";

// Rolls changes out at a pace: as fast as they are proved, or at a rate.

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
 * Checking whether there is room for a wave counts rows, at the platform's expense: the driver checks when proofs were
 * committed, and not more often than this.
 */
const lookEveryMs = 20;
/** A notification may be missed. */
const lookAnywayMs = 250;
/** A healthy fleet proves a change in milliseconds; re-sends come after 10 s and more. */
const silenceMs = 60_000;
/** @param signal ends a roll-out early: what is under way is still waited for, a few seconds */
export async function openRollOutDriver(
  databaseUrl: string,
  signal: AbortSignal,
  onChanged: (count: number) => void,
): Promise<RollOutDriver> {
  const opened = openDatabase(databaseUrl, 3, () => undefined);
  const rollOuts = openRollOuts(opened.db, realClock);
  const links = await opened.db.selectFrom("vehicle_links").select("vehicle_id").orderBy("vin").execute();
  const vehicleIds = links.map(({ vehicle_id }) => vehicle_id);
  const proofs = new EventEmitter();
  const listener = createNotifyListener({
    url: databaseUrl,
    channel: stepsChannel,
    onRing: () => proofs.emit("rung"),
    logger: pino({ level: "silent" }),
  });
  await listener.start();
  /** The car that was changed longest ago comes first. */
  const queue = [...vehicleIds];

  async function changeNext(count: number, intendedMs: number): Promise<Wave> {
    const candidates = queue.splice(0, count);
    const chosen = await rollOuts.change(candidates, async (_tx, changed) => changed);
    const committedMs = nowMs();
    const taken = new Set(chosen);
    // A car that still has a change under way keeps its place.
    queue.unshift(...candidates.filter((id) => !taken.has(id)));
    queue.push(...chosen);
    onChanged(chosen.length);
    return { vehicleIds: chosen, intendedMs, committedMs };
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
    conflicts: rollOuts.conflicts,
    async rollOut(changes, { wave, underWay }) {
      const waves: Wave[] = [];
      const startedMs = nowMs();
      for (let left = changes; left > 0 && !signal.aborted; ) {
        const size = Math.min(wave, left, queue.length);
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
        const size = Math.min(wave, left, queue.length);
        await until(dueMs, signal);
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
