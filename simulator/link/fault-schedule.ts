import { createHash } from "node:crypto";
import { deriveSeed, seededRandom } from "../chance/seeded-random.ts";

// What happens to which packet, decided by the seed alone: by car, direction and the packet's number in it.

export const faultKinds = ["dropped", "duplicated", "reordered", "delayed", "forged", "replayed"] as const;
export type FaultKind = (typeof faultKinds)[number];

/** Probability of each fault for one packet, 0 to 1, together at most 1: a packet suffers one fault. */
export type FaultProbabilities = Partial<Record<FaultKind, number>>;

export type Direction = "toCar" | "fromCar";

export type PacketFate =
  | { kind: "passed" }
  /** `draw`, [0, 1), decides the details: how long, which bit, which earlier packet. */
  | { kind: FaultKind; draw: number };

export type FaultSchedule = {
  /** The `index`-th packet (0 …) of `car` in that direction, counted across connections. */
  fateOf(car: string, direction: Direction, index: number): PacketFate;
  /** Names the schedule: the same for the same seed and probabilities, else another. */
  readonly hash: string;
  readonly seed: number;
  /** Whether a fault can happen at all. */
  plans(kind: FaultKind): boolean;
};

/** How much of the schedule its hash is taken over. */
const hashedCars = 16;
const hashedPackets = 128;

/** @throws Error when these are no probabilities. */
export function createFaultSchedule(options: {
  seed: number;
  toCar?: FaultProbabilities;
  fromCar?: FaultProbabilities;
}): FaultSchedule {
  const { seed } = options;
  const bounds = { toCar: boundsOf(options.toCar ?? {}), fromCar: boundsOf(options.fromCar ?? {}) };

  function fateOf(car: string, direction: Direction, index: number): PacketFate {
    const random = seededRandom(deriveSeed(seed, car, direction, index));
    const roll = random();
    const hit = bounds[direction].find(({ below }) => roll < below);
    return hit === undefined ? { kind: "passed" } : { kind: hit.kind, draw: random() };
  }

  return {
    seed,
    fateOf,
    hash: hashOf(seed, bounds, fateOf),
    plans: (kind) => [...bounds.toCar, ...bounds.fromCar].some((bound) => bound.kind === kind),
  };
}

type Bound = { kind: FaultKind; below: number };

function boundsOf(probabilities: FaultProbabilities): Bound[] {
  let sum = 0;
  const bounds: Bound[] = [];
  for (const kind of faultKinds) {
    const probability = probabilities[kind] ?? 0;
    if (!(probability >= 0))
      throw new Error(`the probability of "${kind}" must be 0 to 1, not ${probability}`);
    if (probability === 0) continue;
    sum += probability;
    bounds.push({ kind, below: sum });
  }
  // Adding tenths can give a little more than 1.
  if (sum > 1 + 1e-9) throw new Error(`the probabilities of the faults add up to ${sum}, more than 1`);
  return bounds;
}

/** Over the decisions and not only the probabilities: another algorithm is another schedule. */
function hashOf(seed: number, bounds: object, fateOf: FaultSchedule["fateOf"]): string {
  const hash = createHash("sha256").update(JSON.stringify({ seed, bounds }));
  for (let car = 0; car < hashedCars; car += 1)
    for (const direction of ["toCar", "fromCar"] as const)
      for (let index = 0; index < hashedPackets; index += 1)
        hash.update(JSON.stringify(fateOf(`car-${car}`, direction, index)));
  return hash.digest("hex").slice(0, 16);
}

/** What was really done to packets, for a whole fleet. */
export type FaultCounts = Record<"passed" | FaultKind, number>;

export function createFaultCounts(): FaultCounts {
  return { passed: 0, dropped: 0, duplicated: 0, reordered: 0, delayed: 0, forged: 0, replayed: 0 };
}
