import * as z from "zod";
import { deriveSeed, seededRandom } from "../chance/seeded-random.ts";
import { type CarKind, carKindSchema } from "./car-kind.ts";
import { type CarKindName, carKinds } from "./car-kinds.ts";

// A profile is a fleet's mix of kinds. The specification's targets are judged on a profile that is declared normal.

function isKindName(name: string): name is CarKindName {
  return Object.hasOwn(carKinds, name);
}
const kindName = z.enum(Object.keys(carKinds).filter(isKindName));

export const profileSchema = z.strictObject({
  describes: z.string().min(1).max(200),
  /** Whether the specification's targets are meant for such a fleet. */
  isNormal: z.boolean().default(false),
  mix: z
    .array(z.strictObject({ kind: z.union([kindName, carKindSchema]), share: z.number().gt(0).max(1) }))
    .min(1)
    .refine(
      (rows) => Math.abs(rows.reduce((sum, row) => sum + row.share, 0) - 1) < 1e-6,
      "the shares must add up to 1",
    ),
});
export type Profile = z.infer<typeof profileSchema>;

const mixes = {
  normal: {
    describes: "a healthy fleet on an ordinary day",
    isNormal: true,
    mix: [
      { kind: "commuter", share: 0.78 },
      { kind: "taxi", share: 0.1 },
      { kind: "garageQueen", share: 0.04 },
      { kind: "tunnel", share: 0.04 },
      { kind: "slowCar", share: 0.02 },
      { kind: "flakyModem", share: 0.01 },
      { kind: "clockDrift", share: 0.01 },
    ],
  },
  badFirmwareBatch: {
    describes: "three cars in ten are of a batch whose firmware takes nothing new",
    isNormal: false,
    mix: [
      { kind: "commuter", share: 0.7 },
      { kind: "badFirmware", share: 0.3 },
    ],
  },
  hostile: {
    describes: "one car in twenty was taken over",
    isNormal: false,
    mix: [
      { kind: "commuter", share: 0.95 },
      { kind: "malicious", share: 0.05 },
    ],
  },
  badWeather: {
    describes: "tunnels and bad modems everywhere",
    isNormal: false,
    mix: [
      { kind: "tunnel", share: 0.5 },
      { kind: "flakyModem", share: 0.5 },
    ],
  },
} as const satisfies Record<string, Profile>;

/** Every mix, and every kind as a fleet of nothing else. */
export const profiles: Readonly<Record<string, Profile>> = {
  ...Object.fromEntries(
    Object.entries(carKinds).map(([kind, { describes }]) => [
      kind,
      { describes, isNormal: kind === "steady", mix: [{ kind: kindName.parse(kind), share: 1 }] },
    ]),
  ),
  ...mixes,
};

export type DealtKind = { name: string; kind: CarKind };

/** Which kind a car is: decided by seed and VIN alone, independent of the other cars. */
export function dealKinds(profile: Profile, seed: number): (vin: string) => DealtKind {
  const rows = profile.mix.map(({ kind, share }, index) => ({
    share,
    dealt:
      typeof kind === "string"
        ? { name: kind, kind: carKindSchema.parse(carKinds[kind]) }
        : { name: `kind ${index + 1}`, kind },
  }));
  return (vin) => {
    let roll = seededRandom(deriveSeed(seed, "kind", vin))();
    for (const { share, dealt } of rows) {
      roll -= share;
      if (roll < 0) return dealt;
    }
    const last = rows.at(-1);
    if (last === undefined) throw new Error("a profile has at least one kind");
    return last.dealt;
  };
}
