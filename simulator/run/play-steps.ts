import { shuffle } from "../chance/draw.ts";
import { seededRandom } from "../chance/seeded-random.ts";
import { wordsOf } from "../command/run.ts";
import type { Buyers } from "../customers/buyers.ts";
import type { Sellers } from "../customers/sellers.ts";
import type { ChangeLog } from "../measure/change-log.ts";
import type { Scenario, Step } from "../scenarios/scenario.ts";
import { changeInBulk } from "./bulk-change.ts";
import type { CarHosts } from "./car-hosts.ts";
import type { Outcomes } from "./outcomes.ts";
import { nowMs, until } from "./pace.ts";
import { nameOf, type StepPlan } from "./plan-steps.ts";
import type { World } from "./world.ts";

export type PlayOptions = {
  world: World;
  scenario: Scenario;
  /** Of the scenario's steps, in their order. */
  plans: readonly StepPlan[];
  hosts: CarHosts;
  changeLog: ChangeLog;
  outcomes: Outcomes;
  buyers: Buyers | null;
  sellers: Sellers | null;
  /** Cars that must be connected; kept up to date. */
  wanted: Set<string>;
  trouble: (sentence: string) => void;
  say: (sentence: string) => void;
  /** Ends what is under way. */
  signal: AbortSignal;
};

/** `noMore`: nothing new is begun. */
type Playing = PlayOptions & { noMore: AbortSignal };

/** What a scenario needs and this world does not have; one sentence per step. */
export function explainImpossible(scenario: Scenario, world: World): string[] {
  return scenario.steps.flatMap((step, index) => {
    const name = nameOf(step, index);
    const lacks = (what: string) => [`step "${name}" cannot be played: ${what}`];
    if (step.bulkChange !== undefined && world.changeCars === null)
      return lacks("a change of many cars needs a platform of our own, and this one is reached from outside");
    if (step.purchases !== undefined && world.restUrl === null)
      return lacks("customers need --rest, where the platform's REST interface is");
    if (
      step.purchases !== undefined &&
      world.owners.length === 0 &&
      scenario.steps.every(({ sales }) => sales === undefined)
    )
      return lacks("nobody has a login: name them with --owners");
    if (step.sales !== undefined && (world.restUrl === null || world.dealership === null))
      return lacks("a sale needs --rest, --factory, --inbox, --staff and SIMULATE_STAFF_PASSWORD");
    if (step.brokerRestart !== undefined && world.restartBroker === null)
      return lacks("the broker is not ours to end");
    if (step.keyChange !== undefined && world.changeKeys === null)
      return lacks("the keys are not ours to change: run caas-keys where they are");
    return [];
  });
}

/**
 * Begins every step when it is due, and resolves at the scenario's end. A step that would last longer begins nothing
 * new then; what it has begun goes on.
 */
export async function playSteps(options: PlayOptions): Promise<void> {
  const startedMs = nowMs();
  const { scenario, plans, signal, trouble } = options;
  const noMore = AbortSignal.any([signal, AbortSignal.timeout(scenario.duration)]);
  const playing = plans.map(async (plan, index) => {
    const step = scenario.steps[index];
    if (step === undefined) return;
    const { name } = plan;
    // A scenario that was shortened by the command line.
    if (step.at >= scenario.duration)
      return trouble(
        `step "${name}" was not played: it begins ${step.at / 1000} s after the ramp, and the run ends before`,
      );
    if (!(await until(startedMs + step.at, noMore))) return;
    await play(step, plan, { ...options, noMore }).catch((error: unknown) =>
      trouble(`step "${name}" failed: ${wordsOf(error)}`),
    );
  });
  await until(startedMs + scenario.duration, signal);
  // A step that hangs must not prevent the report.
  await Promise.race([Promise.all(playing), until(nowMs() + graceMs, signal)]);
}

/** For what is in the middle of something at the end: a wave's transaction, a broker's restart. */
const graceMs = 30_000;

async function play(step: Step, { name, seed, arrivals }: StepPlan, options: Playing): Promise<void> {
  const random = seededRandom(seed);
  const { hosts, world, changeLog, outcomes, buyers, sellers, wanted, signal, noMore } = options;
  // In random order: neighbours are no wave. In one order before: which process is up first is the clock's doing.
  const some = (share: number) =>
    shuffle([...hosts.cars.keys()].toSorted(), random).slice(0, Math.ceil(hosts.cars.size * share));
  const { bulkChange, purchases, sleep, wake } = step;
  if (bulkChange !== undefined && world.changeCars !== null)
    return changeInBulk({
      name,
      vins: some(bulkChange.share),
      overMs: bulkChange.over,
      waveSize: bulkChange.waveSize,
      retries: bulkChange.retries,
      changeCars: world.changeCars,
      changeLog,
      outcomes,
      random,
      signal,
      noMore,
    });
  if (purchases !== undefined && buyers !== null)
    return buyers.receive({
      name,
      arrivals,
      thinkMs: purchases.thinkTime,
      badCards: purchases.badCards,
      // Whoever is planned comes, if only after the end by a hair.
      noMore: signal,
    });
  if (step.sales !== undefined && sellers !== null) return sellers.receive({ arrivals, noMore: signal });
  if (step.reconnectStorm !== undefined) return hosts.cut(some(step.reconnectStorm.share), 0, "storm");
  if (step.outage !== undefined)
    return hosts.cut(some(step.outage.share), step.outage.for, "regional outage");
  if (step.brokerRestart !== undefined && world.restartBroker !== null)
    return world.restartBroker(step.brokerRestart.downFor, step.brokerRestart.how);
  if (step.keyChange !== undefined && world.changeKeys !== null)
    return options.say(`${name}: key set ${await world.changeKeys(step.keyChange.how)} is in force`);
  if (sleep !== undefined) {
    const vins = some(sleep.share);
    for (const vin of vins) wanted.delete(vin);
    return hosts.sleep(vins, sleep.over);
  }
  if (wake !== undefined) {
    const vins = some(wake.share);
    for (const vin of vins) wanted.add(vin);
    return hosts.wake(vins, wake.over);
  }
}
