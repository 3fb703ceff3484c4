import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { businessClockFrom } from "@caas/contract/business-clock.ts";
import { listCars } from "./car-folders.ts";
import { type Environment, explainNoStory } from "./part-environments.ts";
import { type Platform, startPlatform } from "./platform.ts";
import { StartRefused } from "./ports.ts";
import { printAddresses, printMemory } from "./print-summary.ts";
import { measureTree } from "./processes.ts";
import { sellDemoCars } from "./sell-demo-cars.ts";
import { openCast, wakeAmongDemoCars, wakeInOwnProcess } from "./story/cast.ts";
import { playHappyStory, type StoryEnd } from "./story/happy-story.ts";
import type { Narrator } from "./story/narrate.ts";
import { createStepRunner, type StepTiming } from "./story/step.ts";

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
    ...(options.once ? { durability: "none" } : {}),
  });
  const stopAsked = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  try {
    return await Promise.race([show(platform, options, startedAt, stopAsked), stopAsked, failing.promise]);
  } finally {
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
  const parked = options.story ? undefined : findNewestCar(platform.storyCarsFolder);
  const inOwnProcess = options.story || parked !== undefined ? 1 : 0;
  const inOneProcess = Math.max(0, options.cars - inOwnProcess);
  const known = listCars(platform.demoCarsFolder).length;
  await Promise.all([
    inOneProcess > 0 || known > 0 ? platform.startDemoCars() : null,
    parked === undefined
      ? null
      : platform.startCar({ name: "car", folder: parked, port: platform.ports.carMetrics }),
  ]);
  say(
    `Ready in ${seconds(performance.now() - startedAt)}${known > 0 ? `, ${known} demo cars connected` : ""}.`,
  );

  const played = options.story ? await playStory(platform, options) : null;
  if (options.once) return played;

  printAddresses(platform, say);
  const missing = inOneProcess - known;
  if (missing > 0 && platform.whyNoStory === null) await sellCars(platform, options, missing);
  printMemory(measureTree(process.pid), options.cars, say);
  say("It stays up until ^C.");
  await stopAsked;
  return played;
}

async function playStory(platform: Platform, options: DemonstrationOptions): Promise<Played> {
  const { narrator, say, environment } = options;
  const wakeCar = wakeInOwnProcess(platform, { name: "car", port: platform.ports.carMetrics });
  const cast = await openCast(platform, wakeCar);
  const runner = createStepRunner();
  const startedAt = performance.now();
  const now = businessClockFrom(environment.CAAS_BUSINESS_TIME).now();
  const end = await playHappyStory({ cast, step: runner.run, narrator }, makeMark(), now);
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

function findNewestCar(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  const newest = readdirSync(folder)
    .filter((name) => !name.startsWith("."))
    .map((name) => join(folder, name))
    .sort((left, right) => statSync(right).mtimeMs - statSync(left).mtimeMs);
  return newest[0];
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
