import { createHash } from "node:crypto";
import { failpoints as brokerPlaces } from "@caas/broker/failpoints.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { failpoints as controlPlanePlaces } from "@caas/control-plane/store/failpoints.ts";
import { shuffle } from "@caas/simulator/chance/draw.ts";
import { deriveSeed, seededRandom } from "@caas/simulator/chance/seeded-random.ts";
import { everydaySteps } from "@caas/simulator/fleet/profiles.ts";
import { createFaultSchedule, type FaultProbabilities } from "@caas/simulator/link/fault-schedule.ts";
import type { FaultSettings } from "@caas/simulator/stand-ins/shared/faults.ts";
import type { FailpointName as AgentPlace } from "@caas/vehicle-agent/failpoints.ts";
import { type CarFile, carFiles, type Damage, damages } from "@caas/vehicle-agent/testing/damage-car.ts";

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
  /** Loses power when it has applied its first version and stays away; its owner cancels before it is back. */
  | { kind: "provesLate" }
  /** Its clock is wrong at every start. */
  | { kind: "wrongClock"; aheadMs: number }
  /** The workshops say that its maintenance is overdue. */
  | { kind: "overdue" };

export type PlannedCar = {
  fate: CarFate;
  /** `disk`: in the process that is killed, with a folder of its own. `memory`: in another process. */
  host: "memory" | "disk";
  /** What its disk loses while its process is down, once; `null`: nothing. */
  damage: DiskDamage | null;
};

/** `unit`: everything, as when the control unit is swapped. */
export type DiskDamage = { file: CarFile; how: Damage } | { file: "unit" };

/**
 * `open`: cancelled while it is under way, so either end is right. `withdrawn`: delivered, and taken back with the
 * money. `unpaid`: denied, or delivered on a presumption and withdrawn.
 */
export type PinnedEnd = "active" | "gaveUp" | "denied" | "withdrawn" | "unpaid" | "open";

export type PlannedPurchase = {
  car: number;
  /** Index among the catalogue's services; a car buys each once. */
  service: number;
  payment: PaymentFate;
  cancels: Cancels;
  later: LaterFate;
  end: PinnedEnd;
};

/** What the customer's bank, and the way to it, do with a payment. */
export type PaymentFate =
  | "pays"
  | "refuses"
  /** Errors of the card networks, which are no refusals, and then it pays. */
  | "failsForNow"
  /** 3-D Secure: the customer confirms, refuses, or lets the time go by. */
  | "confirms"
  | "refusesToConfirm"
  | "forgetsToConfirm"
  /** The first request is done and not answered. */
  | "losesAnswer"
  /** It is neither done nor answered; asked again, the card pays, or refuses. */
  | "losesRequest"
  | "losesRequestThenRefuses"
  /** The price is held and its capture refused. */
  | "refusesCapture"
  /** The hold is voided by hand while the car sleeps. */
  | "losesHold";

/** The bank does not answer at first. */
export const unansweredFates: readonly PaymentFate[] = [
  "losesAnswer",
  "losesRequest",
  "losesRequestThenRefuses",
];
const otherFates: readonly PaymentFate[] = [
  "failsForNow",
  "confirms",
  "refusesToConfirm",
  "forgetsToConfirm",
  "refusesCapture",
];

/** `afterApplying`: the car has applied it and not said so. */
export type Cancels = "no" | "atRandom" | "afterApplying";

/** What becomes of the money of a service that is active. `chargedBackInVain`: the bank decides for us. */
export type LaterFate = "kept" | "refunded" | "chargedBack" | "chargedBackInVain";

export const gatewayKnobs = [
  "failNext",
  "answerNonsenseNext",
  "garbleTextNext",
  "timeOutAfterDoingNext",
  "dropWebhooksNext",
] as const satisfies readonly (keyof FaultSettings)[];
type GatewayKnobs = Required<Pick<FaultSettings, (typeof gatewayKnobs)[number]>>;

/** The payment gateway as a whole fails, for every customer: knobs of its stand-in. */
export type GatewayFault = { afterMs: number; knobs: GatewayKnobs };

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
  gatewayFaults: readonly GatewayFault[];
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

/** 1970, two days behind, three years ahead. */
const wrongClocks = [-56 * 365 * dayMs, -2 * dayMs, 3 * 365 * dayMs];

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
  const gatewayFaults = planGatewayFaults(isSmall, seededRandom(deriveSeed(seed, "gateway")));
  const services = 1 + Math.max(...purchases.map(({ service }) => service));
  const decided = {
    options,
    cars,
    purchases,
    kills,
    wallKills,
    gatewayFaults,
    link: createFaultSchedule({ seed, toCar: linkFaults, fromCar: linkFaults }).hash,
  };
  const schedule = createHash("sha256").update(JSON.stringify(decided)).digest("hex").slice(0, 16);
  return {
    ...{ ...options, isSmall, cars, purchases, services, kills, wallKills, gatewayFaults },
    link: linkFaults,
    schedule,
  };
}

/** Each fate at least once, where there are cars enough for it. */
function dealCars(vehicles: number, isSmall: boolean, random: Random): PlannedCar[] {
  const some = (share: number, least: number) => Math.max(least, Math.round(vehicles * share));
  const draw = <T>(list: readonly [T, ...T[]]): T => list[Math.floor(random() * list.length)] ?? list[0];
  const passage = () => draw([1, 2]);
  const cars: PlannedCar[] = [];
  const add = (count: number, make: (index: number) => CarFate, host: PlannedCar["host"] = "memory") => {
    for (let index = 0; index < count && cars.length < vehicles; index += 1)
      cars.push({ fate: make(index), host, damage: null });
  };
  add(Math.min(60, some(0.1, 6)), () => ({ kind: "healthy" }), "disk");
  dealDamages(cars, random);
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
  add(some(0.01, 1), () => ({ kind: "provesLate" }));
  add(some(0.01, 2), (index) => ({
    kind: "wrongClock",
    aheadMs: wrongClocks[index % wrongClocks.length] ?? 0,
  }));
  add(some(0.02, 1), () => ({ kind: "overdue" }));
  add(vehicles, () => ({ kind: "healthy" }));
  return shuffle(cars, random);
}

/** The rarest first, so that a small run has one of each kind: a slot that heals, a memory that is lost, a new unit. */
function dealDamages(disks: PlannedCar[], random: Random): void {
  const first: readonly DiskDamage[] = [
    { file: "entry", how: "empty" },
    { file: "journal.json", how: "half" },
    { file: "unit" },
    { file: "configuration/active", how: "missing" },
    { file: "keys/proof.pem", how: "garbage" },
  ];
  const all = carFiles.flatMap((file) => damages.map((how): DiskDamage => ({ file, how })));
  const dealt = [...first, ...shuffle(all, random)];
  // The last one stays as it was, to be compared with.
  for (const [index, car] of disks.entries()) if (index < disks.length - 1) car.damage = dealt[index] ?? null;
}

function dealPurchases(cars: readonly PlannedCar[], activations: number, random: Random): PlannedPurchase[] {
  // In rounds, each in its own order: every car buys its n-th service before any car buys the next.
  const purchases: PlannedPurchase[] = [];
  for (let service = 0; purchases.length < activations; service += 1)
    for (const car of shuffle(Array.from(cars.keys()), random)) {
      if (purchases.length === activations) break;
      const fate = cars[car]?.fate ?? { kind: "healthy" };
      // Its first version must be that of the purchase that is cancelled.
      if (fate.kind === "provesLate" && service > 0) continue;
      const payment = random() < 0.03 ? "refuses" : "pays";
      const mayCancel = payment === "pays" && fate.kind === "healthy";
      const provesLate = fate.kind === "provesLate";
      purchases.push({
        ...{ car, service, later: "kept", end: "open" },
        payment: provesLate ? "pays" : payment,
        cancels: provesLate ? "afterApplying" : mayCancel && random() < 0.03 ? "atRandom" : "no",
      });
    }
  dealPaymentFates(cars, purchases, random);
  return purchases.map((purchase) => ({ ...purchase, end: pinEnd(purchase, cars[purchase.car]?.fate) }));
}

/** Of each as many, where there are purchases enough: one in four hundred, and in a small run one. */
function dealPaymentFates(cars: readonly PlannedCar[], purchases: PlannedPurchase[], random: Random): void {
  const count = Math.max(1, Math.round(purchases.length / 400));
  const fateOf = ({ car }: PlannedPurchase) => cars[car]?.fate;
  const isPlain = ({ payment, cancels, later }: PlannedPurchase) =>
    payment === "pays" && cancels === "no" && later === "kept";
  const isHealthy = (one: PlannedPurchase) =>
    fateOf(one)?.kind === "healthy" && cars[one.car]?.host === "memory";
  const isFirst = ({ service }: PlannedPurchase) => service === 0;
  /** Cars with an unanswered payment. Their first purchase must succeed: only known payers are presumed to pay (PP3). */
  const believed = new Set<number>();
  const payers = new Set(purchases.filter((one) => isFirst(one) && isPlain(one)).map(({ car }) => car));
  type Change = Partial<Pick<PlannedPurchase, "payment" | "later">>;

  function deal(change: Change, isMeant: (one: PlannedPurchase) => boolean): PlannedPurchase[] {
    const candidates = purchases.filter((one) => isPlain(one) && isMeant(one));
    const chosen = shuffle(candidates, random).slice(0, count);
    for (const one of chosen) Object.assign(one, change);
    return chosen;
  }
  for (const payment of unansweredFates)
    for (const { car } of deal({ payment }, (one) => isHealthy(one) && !isFirst(one) && payers.has(one.car)))
      believed.add(car);
  deal({ payment: "losesHold" }, (one) => {
    const fate = fateOf(one);
    return fate?.kind === "sleepsForDays" && fate.beforeBuying;
  });
  const isFree = (one: PlannedPurchase) => isHealthy(one) && !(isFirst(one) && believed.has(one.car));
  for (const payment of otherFates) deal({ payment }, isFree);
  for (const later of ["refunded", "chargedBack", "chargedBackInVain"] as const) deal({ later }, isFree);
}

function pinEnd(
  { payment, cancels, later }: PlannedPurchase,
  fate: CarFate = { kind: "healthy" },
): PinnedEnd {
  if (fate.kind === "overdue") return "denied";
  switch (payment) {
    case "refuses":
    case "losesRequestThenRefuses":
      return "unpaid";
    case "refusesToConfirm":
    case "forgetsToConfirm":
      return "denied";
    case "refusesCapture":
      return "withdrawn";
    case "losesHold":
      return "gaveUp";
    default:
  }
  if (later !== "kept") return "withdrawn";
  switch (fate.kind) {
    case "healthy":
    case "crashes":
    case "sleepsForDays":
    case "wrongClock":
    case "provesLate":
      return cancels === "atRandom" ? "open" : cancels === "afterApplying" ? "gaveUp" : "active";
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

/** Of each kind some, at once: the stand-in uses them up request by request. */
function planGatewayFaults(isSmall: boolean, random: Random): GatewayFault[] {
  const times = isSmall ? [0] : [0, 20_000, 40_000, 60_000];
  return times.map((afterMs, index) => {
    const count = (isSmall ? 2 : 8) + Math.floor(random() * 3);
    const knobs: GatewayKnobs = {
      failNext: { count, status: index % 2 === 0 ? 503 : 429 },
      answerNonsenseNext: { count },
      garbleTextNext: { count },
      timeOutAfterDoingNext: { count: 1 },
      dropWebhooksNext: { count },
    };
    return { afterMs, knobs };
  });
}
