import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { parseDeath } from "@caas/contract/failpoints.ts";
import { wordsOf } from "@caas/simulator/command/run.ts";
import { type CarHosts, type CarHostsOptions, startCarHosts } from "@caas/simulator/run/car-hosts.ts";
import type { HeldByCar } from "@caas/simulator/run/host-messages.ts";
import type { SituationKeeper } from "@caas/simulator/run/situation.ts";

/** A process of cars that is started again whenever it is killed. */
export type RevivedCars = {
  show(): Promise<HeldByCar[]>;
  /** The process of this life; `null` between two lives. */
  now(): CarHosts | null;
  /** kill -9 now, or as soon as it lives again. */
  kill(): void;
  stop(): Promise<void>;
};

export type RevivedCarsOptions = {
  /** Awaited before each life. */
  beforeLife(): Promise<void>;
  /** Asked at every start: the next life may be told of another place to die. */
  setUp(): CarHostsOptions;
  /** Adds up the counts of all lives; each life has its own number there. */
  keeper: SituationKeeper;
  nextLife(): number;
  /** It was killed: at a place of the code, or by us. It is started again. */
  onKilled(place: string | null): void;
  /** A car has lost what proves it, and stays down until it is enrolled again. */
  onNeedsEnrolment(vin: string, hosts: CarHosts): void;
  /** It ended for another reason, which is a defect. */
  onFailure(reason: string): void;
  signal: AbortSignal;
};

/** Resolves when every car has tried to connect. */
export async function startRevivedCars(options: RevivedCarsOptions): Promise<RevivedCars> {
  const { keeper, signal } = options;
  const up = Promise.withResolvers<void>();
  let life = 0;
  let hosts: CarHosts | null = null;
  let isStopping = false;
  let isKillOwed = false;
  let failure: Error | null = null;

  async function live(): Promise<void> {
    life = options.nextLife();
    await options.beforeLife();
    const started = await startCarHosts(options.setUp());
    hosts = started;
    const ofThisLife = life;
    started.on("news", (news) => keeper.hear(news, ofThisLife));
    started.on("needsEnrolment", (vin) => options.onNeedsEnrolment(vin, started));
    started.on("lost", (_host, { why, signal: killedBy, lastLines }) => {
      hosts = null;
      keeper.lost(ofThisLife);
      if (signal.aborted) return;
      if (killedBy !== "SIGKILL" || isStopping) return fail(new Error(why));
      options.onKilled(lastLines.map(parseDeath).findLast((death) => death !== undefined)?.name ?? null);
      starting = live().catch(fail);
    });
    if (signal.aborted || isKillOwed) started.kill();
    isKillOwed = false;
    // A life that is killed meanwhile is followed by another.
    await started.wake([...started.cars.keys()], 0).then(up.resolve, () => undefined);
  }

  function fail(reason: unknown): void {
    failure = reason instanceof Error ? reason : new Error(wordsOf(reason));
    up.reject(failure);
    options.onFailure(failure.message);
  }

  signal.addEventListener("abort", () => hosts?.kill(), { once: true });
  let starting = live().catch(fail);
  await Promise.race([up.promise, once(signal, "abort")]);
  return {
    now: () => hosts,
    async show() {
      for (;;) {
        await starting;
        if (failure !== null) throw failure;
        // A life that is killed meanwhile does not answer: the next is asked.
        const shown = await hosts?.show().catch(() => undefined);
        if (shown !== undefined || signal.aborted) return shown ?? [];
        await delay(200);
      }
    },
    kill() {
      if (hosts === null) isKillOwed = true;
      else hosts.kill();
    },
    async stop() {
      isStopping = true;
      await starting;
      await hosts?.stop();
      keeper.lost(life);
    },
  };
}
