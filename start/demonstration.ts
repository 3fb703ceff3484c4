import { statSync } from "node:fs";
import { join } from "node:path";
import { businessClockFrom } from "@caas/contract/business-clock.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { wordsOf } from "@caas/simulator/command/run.ts";
import { listCars, moveCars } from "./car-folders.ts";
import { type CarsStatus, carsStatusSchema, countConnected, explainOff } from "./cars-status.ts";
import { type Environment, explainNoStory } from "./part-environments.ts";
import { type Platform, startPlatform } from "./platform.ts";
import { StartRefused } from "./ports.ts";
import { keepWalk, printAddresses, printMemory, printWalk } from "./print-summary.ts";
import { measureTree } from "./processes.ts";
import { sellDemoCars } from "./sell-demo-cars.ts";
import { listSetKnobs } from "./set-knobs.ts";
import { openCast, wakeAmongDemoCars, wakeInOwnProcess } from "./story/cast.ts";
import { playHappyStory, type StoryEnd } from "./story/happy-story.ts";
import type { Narrator } from "./story/narrate.ts";
import { createStepRunner, type StepTiming, StoryFailed } from "./story/step.ts";
import { keepOwner, ownerOf, readOwner } from "./story-owner.ts";
import type { RunningChild } from "./supervise.ts";
import { forgetWalk } from "./walk-exports.ts";

export type DemonstrationOptions = {
  dataDir: string;
  ports: "default" | "free";
  /** All cars together, the story's included. */
  cars: number;
  story: boolean;
  /** Ends with the story instead of staying up. */
  once: boolean;
  environment: Environment;
  /** ^C */
  signal: AbortSignal;
  /** A line for the person watching. */
  say: (line: string) => void;
  narrator: Narrator;
};

export type Played = StoryEnd & { steps: readonly StepTiming[]; totalMs: number };

/** A part that was running ended by itself. */
export class PartEnded extends Error {
  override name = "PartEnded";
}

/**
 * What `npm start` shows: the platform comes up, its cars come up, a story is played; then it stays until
 * `signal`.
 * @returns the story as it went, or `null` without one
 * @throws what ended it early, after everything that was started has been stopped
 */
export async function demonstrate(asked: DemonstrationOptions): Promise<Played | null> {
  const { signal, say } = asked;
  const whyNoStory = asked.story ? explainNoStory(asked.environment) : null;
  if (whyNoStory !== null && asked.once) throw new StartRefused(`The story cannot be played: ${whyNoStory}.`);
  if (whyNoStory !== null) say(`Without a story: ${whyNoStory}.`);
  const options = { ...asked, story: asked.story && whyNoStory === null };
  const startedAt = performance.now();
  const failing = Promise.withResolvers<never>();
  // Nobody may be listening at the moment a part ends.
  failing.promise.catch(() => undefined);
  const platform = await startPlatform({
    dataDir: options.dataDir,
    ports: options.ports,
    environment: options.environment,
    onFailure: (reason) => failing.reject(new PartEnded(reason)),
    signal,
    say,
    ...(options.once ? { durability: "none" } : {}),
  });
  const stopAsked = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  const closing = new AbortController();
  try {
    const showing = show(
      platform,
      { ...options, signal: AbortSignal.any([signal, closing.signal]) },
      startedAt,
      stopAsked,
    );
    return await Promise.race([showing, stopAsked, failing.promise]);
  } finally {
    // What is still being shown fails now, and nobody is told so.
    closing.abort();
    const stoppingAt = performance.now();
    if (!options.once) say("Stopping …");
    await platform.stop();
    if (!options.once) say(`Stopped in ${seconds(performance.now() - stoppingAt)}.`);
  }
}

async function show(
  platform: Platform,
  options: DemonstrationOptions,
  startedAt: number,
  stopAsked: Promise<null>,
): Promise<Played | null> {
  const { say } = options;
  const { storyCarsFolder, demoCarsFolder } = platform;
  // That of the last start names another car at this one's addresses.
  forgetWalk(platform.dataDir);
  // With a story its car takes that place; cars of earlier stories drive on among the others.
  const parked = options.story ? null : findNewestCar(storyCarsFolder);
  moveCars(storyCarsFolder, demoCarsFolder, parked);
  const inOwnProcess = options.story || parked !== null ? 1 : 0;
  const inOneProcess = Math.max(0, options.cars - inOwnProcess);
  const known = listCars(demoCarsFolder).length;
  const [demoCars] = await Promise.all([
    inOneProcess > 0 || known > 0 ? platform.startDemoCars() : null,
    parked === null
      ? null
      : platform.startCar({
          name: "car",
          folder: join(storyCarsFolder, parked),
          port: platform.ports.carMetrics,
        }),
  ]);
  const readyIn = seconds(performance.now() - startedAt);
  const status = demoCars === null || known === 0 ? null : await readCarsStatus(demoCars);
  say(`Ready in ${readyIn}${status === null ? "" : `, ${countConnected(status)}`}.`);
  if (status !== null) for (const line of explainOff(status, demoCarsFolder, platform.dataDir)) say(line);
  const { standIns } = platform;
  const tellKnobs = async () => {
    for (const sentence of standIns === null ? [] : await listSetKnobs(standIns)) say(sentence);
  };
  /** What is only shown may fail, and the platform stays up for whoever works with it. */
  const unlessItFails = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (options.once || options.signal.aborted) throw error;
      const why = error instanceof StoryFailed ? `at "${error.step}": ${error.why}` : wordsOf(error);
      say(`${what} failed ${why.split("\n")[0]}. The platform stays up.`);
      await tellKnobs();
      return null;
    }
  };

  if (options.story) await tellKnobs();
  const played = options.story ? await unlessItFails("The story", () => playStory(platform, options)) : null;
  if (options.once) return played;

  const owner = readOwner(platform.dataDir);
  printAddresses(platform, owner, say);
  // Before the other cars are sold, which takes a while: the walk can begin meanwhile.
  const walk = await keepWalk(platform, owner);
  const missing = inOneProcess - known;
  if (missing > 0 && platform.whyNoStory === null)
    await unlessItFails("Selling the other cars", () => sellCars(platform, options, missing));
  printMemory(measureTree(process.pid), options.cars, say);
  printWalk(walk, say);
  say("It stays up until ^C.");
  await stopAsked;
  return played;
}

async function readCarsStatus({ addresses }: RunningChild): Promise<CarsStatus> {
  const answer = await fetch(`${addresses.http}/health`);
  return carsStatusSchema.parse(await answer.json());
}

async function playStory(platform: Platform, options: DemonstrationOptions): Promise<Played> {
  const { narrator, say, environment } = options;
  const wakeCar = wakeInOwnProcess(platform, { name: "car", port: platform.ports.carMetrics });
  const cast = await openCast(platform, wakeCar);
  const runner = createStepRunner();
  const startedAt = performance.now();
  const now = businessClockFrom(environment.CAAS_BUSINESS_TIME).now();
  const end = await playHappyStory({ cast, step: runner.run, narrator }, makeMark(), now, (bought) =>
    keepOwner(platform.dataDir, ownerOf(bought)),
  );
  const totalMs = Math.round(performance.now() - startedAt);
  say(`The story took ${seconds(totalMs)}.`);
  return { ...end, steps: runner.timings, totalMs };
}

/** The first start only: later the cars simply come up again. */
async function sellCars(platform: Platform, options: DemonstrationOptions, count: number): Promise<void> {
  const { say, signal, environment } = options;
  say(`Selling ${count} more cars over the same REST interface, once for this data folder …`);
  const startedAt = performance.now();
  const clock = businessClockFrom(environment.CAAS_BUSINESS_TIME);
  const cast = await openCast(platform, wakeAmongDemoCars(platform));
  await sellDemoCars(cast, count, {
    mark: makeMark(),
    now: () => clock.now(),
    signal,
    onSold: (done) => {
      if (done % 8 === 0 || done === count) say(`  ${done} of ${count} sold, delivered and linked`);
    },
  });
  say(`That took ${seconds(performance.now() - startedAt)}.`);
}

/** Keeps the customers of this run apart from those of earlier runs on the same data folder. */
function makeMark(): string {
  return Date.now().toString(36);
}

function findNewestCar(folder: string): Vin | null {
  const changedMs = (vin: Vin) => statSync(join(folder, vin)).mtimeMs;
  const [newest = null] = listCars(folder).toSorted((left, right) => changedMs(right) - changedMs(left));
  return newest;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
