import type { Evidence } from "./evidence.ts";

// A rehearsal that cannot fail proves nothing: each of these makes a sound run fail, from the audit to the exit code.

export const tamperings = {
  /** The gateway has taken one price twice. */
  doubleCharge: (evidence: Evidence): Evidence => {
    const charged = evidence.intents.find(({ capturedCents }) => capturedCents > 0);
    if (charged === undefined) throw new Error("nothing was charged that could be charged twice");
    return { ...evidence, intents: [...evidence.intents, { ...charged, id: `${charged.id}_again` }] };
  },
  /** One car has lost what it was sold. */
  lostService: (evidence: Evidence): Evidence => {
    const holder = evidence.cars.find(({ codes }) => codes.length > 0);
    if (holder === undefined) throw new Error("no car holds anything that it could lose");
    const cars = evidence.cars.map((car) => (car === holder ? { ...car, hash: "another", codes: [] } : car));
    return { ...evidence, cars };
  },
} as const;

export type Tampering = keyof typeof tamperings;
