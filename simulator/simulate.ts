import { availableParallelism } from "node:os";
import { listBrokerAddresses } from "@caas/contract/broker-addresses.ts";
import { type Profile, profiles } from "./behaviour/profile.ts";
import { CannotSimulate } from "./cannot-simulate.ts";
import { findKnee, type Knee, type KneeOptions } from "./knee/find-knee.ts";
import { explainLimit } from "./knee/objective.ts";
import { makeReport } from "./report/make-report.ts";
import type { RunReport } from "./report/run-report.ts";
import { planProcesses, readCapacity } from "./run/capacity.ts";
import { describeMachine } from "./run/machine.ts";
import { describePlan, planSteps } from "./run/plan-steps.ts";
import { explainImpossible } from "./run/play-steps.ts";
import { type RunListener, run } from "./run/run.ts";
import type { ProvideWorld, World } from "./run/world.ts";
import type { Scenario } from "./scenarios/scenario.ts";

export type SimulateOptions = {
  scenario: { name: string; content: Scenario };
  /** Wins over the scenario's. */
  profile: { name: string; content: Profile };
  seed: number;
  processes: number | "auto";
  tls: boolean;
  brokers: number;
  provideWorld: ProvideWorld;
  /** Removed by the caller. */
  folder: string;
  /** To repeat it. */
  command: string;
  signal: AbortSignal;
  listener: RunListener;
  say: (line: string) => void;
};

/** The profile of that name. @throws CannotSimulate naming those there are */
export function findProfile(name: string): { name: string; content: Profile } {
  const content = profiles[name];
  if (content !== undefined) return { name, content };
  throw new CannotSimulate(`there is no profile "${name}"; there are ${Object.keys(profiles).join(", ")}`);
}

/**
 * Begins a world, plays the scenario in it, ends it, and says what came of it.
 * @throws CannotSimulate before anything is started; Error when the world does not begin
 */
export async function simulate(options: SimulateOptions): Promise<RunReport> {
  const { scenario, profile } = options;
  const { vehicles } = scenario.content;
  const startedAt = new Date();
  // Before the platform is started: its own broker is on loopback.
  const early = plan(options, vehicles, true);
  if (early.kind === "impossible") throw new CannotSimulate(early.why);
  const world = await options.provideWorld({
    vehicles,
    seed: options.seed,
    tls: options.tls,
    brokers: options.brokers,
    timeScale: scenario.content.timeScale,
    withOwners: scenario.content.steps.some(({ purchases }) => purchases !== undefined),
    folder: options.folder,
    signal: options.signal,
    say: options.say,
  });
  try {
    if (world.scrape.length > 0)
      options.say(`Measures of the platform: ${world.scrape.map(sayScrape).join(", ")}`);
    const missing = explainImpossible(scenario.content, world);
    if (missing.length > 0) throw new CannotSimulate(missing.join("\n"));
    const planned = plan(options, world.cars.length + world.packages.length, isLoopback(world));
    if (planned.kind === "impossible") throw new CannotSimulate(planned.why);
    const { processes } = planned;
    const finished = await run({
      world,
      scenario: scenario.content,
      profile: profile.content,
      seed: options.seed,
      processes,
      folder: options.folder,
      signal: options.signal,
      listener: options.listener,
    });
    const { describes, isNormal } = profile.content;
    return makeReport(finished, {
      startedAt,
      command: options.command,
      seed: options.seed,
      machine: describeMachine(),
      world: world.describes,
      plan: describePlan(scenario.content, planSteps(scenario.content, options.seed)),
      scenario,
      profile: { name: profile.name, describes, isNormal },
      processes,
    });
  } finally {
    await world.stop();
  }
}

function sayScrape({ job, address }: World["scrape"][number]): string {
  return `${job} http://${address}/metrics`;
}

function plan({ processes }: Pick<SimulateOptions, "processes">, vehicles: number, isLoopback: boolean) {
  const cores = availableParallelism();
  return planProcesses({ vehicles, asked: processes, cores, isLoopback }, readCapacity());
}

function isLoopback({ brokerUrl }: World): boolean {
  return (
    brokerUrl !== null &&
    listBrokerAddresses(brokerUrl).every((address) => new URL(address).hostname.startsWith("127."))
  );
}

export type SeekOptions = Pick<
  SimulateOptions,
  "profile" | "seed" | "processes" | "tls" | "brokers" | "provideWorld" | "folder" | "signal" | "say"
> &
  Pick<KneeOptions, "objective" | "load" | "from" | "levelMs" | "onLevel"> & { vehicles: number };

/** Begins a world and raises the load in it. @returns what was found, and why it was not more */
export async function seekKnee(options: SeekOptions): Promise<Knee & { gaveWay: string | null }> {
  const { vehicles } = options;
  const planned = plan(options, vehicles, true);
  if (planned.kind === "impossible") throw new CannotSimulate(planned.why);
  const { processes } = planned;
  const world = await options.provideWorld({
    vehicles,
    seed: options.seed,
    tls: options.tls,
    brokers: options.brokers,
    timeScale: 1,
    withOwners: options.load === "purchases",
    folder: options.folder,
    signal: options.signal,
    say: options.say,
  });
  try {
    if (options.load === "bulk" && world.changeCars === null)
      throw new CannotSimulate("a change of many cars needs a platform of our own: take --load purchases");
    if (options.load === "purchases" && (world.restUrl === null || world.owners.length === 0))
      throw new CannotSimulate("customers need --rest and --owners");
    const knee = await findKnee({ ...options, world, profile: options.profile.content, processes });
    const { broken } = knee;
    const gaveWay = broken === null ? null : explainLimit(broken, availableParallelism(), processes);
    return { ...knee, gaveWay };
  } finally {
    await world.stop();
  }
}
