import { createHash } from "node:crypto";
import { failpoints as brokerPlaces } from "@caas/broker/failpoints.ts";
import { failpoints as controlPlanePlaces } from "@caas/control-plane/store/failpoints.ts";
import { shuffle } from "@caas/simulator/chance/draw.ts";
import { deriveSeed, seededRandom } from "@caas/simulator/chance/seeded-random.ts";
import { everydaySteps } from "@caas/simulator/fleet/profiles.ts";
import { createFaultSchedule, type FaultProbabilities } from "@caas/simulator/link/fault-schedule.ts";
import type { FailpointName as AgentPlace } from "@caas/vehicle-agent/failpoints.ts";

// Everything the seed decides, before anything runs: who buys what, which car does what, which faults are planned.
// The order in which the processes then get there is not fixed.

export type OtaOptions = { vehicles: number; activations: number; seed: number };

/** What becomes of a car is decided here, independent of link and kills. */
export type CarFate =
  | { kind: "healthy" }
  | { kind: "crashes"; at: AgentPlace; passage: number }
  | { kind: "rejects" }
  | { kind: "unhealthy"; crash: { at: AgentPlace; passage: number } | null }
  /** Out of reach for days; back before the bank's hold ends. `beforeBuying`: already when its owner buys. */
  | { kind: "sleepsForDays"; beforeBuying: boolean }
  /** Out of reach until the hold has ended. */
  | { kind: "sleepsTooLong" }
  /** The workshops say that its maintenance is overdue. */
  | { kind: "overdue" };

export type PlannedCar = {
  fate: CarFate;
  /** `disk`: in the process that is killed, with a folder of its own. `memory`: in another process. */
  host: "memory" | "disk";
};

/** `open`: cancelled while it is under way, so either end is right. */
export type PinnedEnd = "active" | "gaveUp" | "denied" | "open";

export type PlannedPurchase = {
  car: number;
  /** Index among the catalogue's services; a car buys each once. */
  service: number;
  cardRefuses: boolean;
  cancels: boolean;
  end: PinnedEnd;
};

export type Part = "control-plane" | "broker" | "agents";

/** Armed one after the other, each in a new life of the process; `passage` counts within that life. */
export type PlannedKill = { part: Part; place: string; passage: number };
export type WallKill = { part: Part; afterMs: number };

export type OtaPlan = OtaOptions & {
  cars: readonly PlannedCar[];
  purchases: readonly PlannedPurchase[];
  services: number;
  /** Fewer kills and one sleep, to be over in a minute. */
  isSmall: boolean;
  kills: readonly PlannedKill[];
  wallKills: readonly WallKill[];
  /** Per packet, in each direction. */
  link: FaultProbabilities;
  /** Names the plan: the same for the same options and the same code. */
  schedule: string;
};

const linkFaults: FaultProbabilities = {
  dropped: 0.05,
  duplicated: 0.05,
  reordered: 0.05,
  delayed: 0.05,
  forged: 0.05,
  replayed: 0.05,
};

const rollBackPlaces: readonly AgentPlace[] = ["beforeRollBack", "afterRollBack"];

/** About how often an activation passes a place: rarer places get a lower passage, or they would never fire. */
const passesAnActivation: Readonly<Record<string, number>> = {
  "release-decided-before-asked": 0.05,
  "release-made-before-recorded": 0.05,
  "deadline-handled-before-commit": 0.05,
  "messages-committed-before-acknowledge": 0.5,
  "dispatches-claimed-before-publish": 0.5,
  "version-committed-before-dispatch": 0.5,
  "connected-before-subscribed": 0.2,
};

/** A run below this many activations is a rehearsal of the rehearsal. */
const fullRunActivations = 1_000;

type Random = () => number;

export function planOta(options: OtaOptions): OtaPlan {
  const { vehicles, activations, seed } = options;
  const isSmall = activations < fullRunActivations;
  const cars = dealCars(vehicles, isSmall, seededRandom(deriveSeed(seed, "cars")));
  const purchases = dealPurchases(cars, activations, seededRandom(deriveSeed(seed, "purchases")));
  const { kills, wallKills } = planKills(activations, isSmall, seededRandom(deriveSeed(seed, "kills")));
  const services = 1 + Math.max(...purchases.map(({ service }) => service));
  const decided = {
    options,
    cars,
    purchases,
    kills,
    wallKills,
    link: createFaultSchedule({ seed, toCar: linkFaults, fromCar: linkFaults }).hash,
  };
  const schedule = createHash("sha256").update(JSON.stringify(decided)).digest("hex").slice(0, 16);
  return { ...options, isSmall, cars, purchases, services, kills, wallKills, link: linkFaults, schedule };
}

/** Each fate at least once, where there are cars enough for it. */
function dealCars(vehicles: number, isSmall: boolean, random: Random): PlannedCar[] {
  const some = (share: number, least: number) => Math.max(least, Math.round(vehicles * share));
  const draw = <T>(list: readonly [T, ...T[]]): T => list[Math.floor(random() * list.length)] ?? list[0];
  const passage = () => draw([1, 2]);
  const cars: PlannedCar[] = [];
  const add = (count: number, make: (index: number) => CarFate, host: PlannedCar["host"] = "memory") => {
    for (let index = 0; index < count && cars.length < vehicles; index += 1)
      cars.push({ fate: make(index), host });
  };
  add(Math.min(60, some(0.1, 4)), () => ({ kind: "healthy" }), "disk");
  add(some(0.02, 2), (index) => ({
    kind: "unhealthy",
    crash: index < 4 ? { at: rollBackPlaces[index % 2] ?? "beforeRollBack", passage: 1 } : null,
  }));
  add(some(0.15, 6), (index) => ({
    kind: "crashes",
    at: everydaySteps[index % everydaySteps.length] ?? "afterSwitch",
    // The first of each crash at once, so that none waits for a second change that never comes.
    passage: index < everydaySteps.length ? 1 : passage(),
  }));
  add(some(0.03, 2), () => ({ kind: "rejects" }));
  add(some(0.04, 2), (index) => ({ kind: "sleepsForDays", beforeBuying: index % 2 === 0 }));
  // Two more restarts of everything would make a small run twice as long.
  if (!isSmall) add(some(0.02, 1), () => ({ kind: "sleepsTooLong" }));
  add(some(0.02, 1), () => ({ kind: "overdue" }));
  add(vehicles, () => ({ kind: "healthy" }));
  return shuffle(cars, random);
}

function dealPurchases(cars: readonly PlannedCar[], activations: number, random: Random): PlannedPurchase[] {
  // In rounds, each in its own order: every car buys its n-th service before any car buys the next.
  const purchases: PlannedPurchase[] = [];
  for (let service = 0; purchases.length < activations; service += 1)
    for (const car of shuffle(Array.from(cars.keys()), random)) {
      if (purchases.length === activations) break;
      const fate = cars[car]?.fate ?? { kind: "healthy" };
      const cardRefuses = random() < 0.03;
      const cancels = !cardRefuses && fate.kind === "healthy" && random() < 0.03;
      purchases.push({ car, service, cardRefuses, cancels, end: pinEnd(fate, cardRefuses, cancels) });
    }
  return purchases;
}

function pinEnd(fate: CarFate, cardRefuses: boolean, cancels: boolean): PinnedEnd {
  if (fate.kind === "overdue" || cardRefuses) return "denied";
  switch (fate.kind) {
    case "healthy":
    case "crashes":
    case "sleepsForDays":
      return cancels ? "open" : "active";
    case "rejects":
    case "unhealthy":
    case "sleepsTooLong":
      return "gaveUp";
  }
}

function planKills(
  activations: number,
  isSmall: boolean,
  random: Random,
): { kills: PlannedKill[]; wallKills: WallKill[] } {
  const places: readonly { part: Part; names: readonly string[]; inSmall: number }[] = [
    { part: "control-plane", names: Object.keys(controlPlanePlaces), inSmall: 2 },
    { part: "broker", names: Object.keys(brokerPlaces), inSmall: 1 },
    { part: "agents", names: everydaySteps, inSmall: 1 },
  ];
  const kills = places.flatMap(({ part, names, inSmall }) => {
    const often = names.filter((name) => (passesAnActivation[name] ?? 1) >= 0.2);
    const chosen = isSmall ? shuffle(often, random).slice(0, inSmall) : shuffle([...names], random);
    return chosen.map((place) => {
      const passes = activations * (passesAnActivation[place] ?? 1) * (part === "agents" ? 0.02 : 1);
      const most = Math.max(1, Math.floor(passes / (3 * chosen.length)));
      return { part, place, passage: 1 + Math.floor(random() * most) };
    });
  });
  const spanMs = isSmall ? 10_000 : 90_000;
  const wallParts: readonly Part[] = isSmall
    ? ["broker"]
    : ["control-plane", "broker", "agents", "control-plane", "broker"];
  const wallKills = wallParts.map((part) => ({ part, afterMs: Math.round((0.1 + 0.9 * random()) * spanMs) }));
  return { kills, wallKills };
}
