// How long a partner is waited for, and when a person hears of it. The specification asks for retries with growing
// waits, an alert of the dealership (Factory order API failure), and manual work where a failure persists.

export const askedPartners = ["factory", "authority", "carrier"] as const;
export type AskedPartner = (typeof askedPartners)[number];

/** The waits between tries grow from 3 s; after six tries some four minutes have passed, longer than a restart takes. */
export const triesBeforeAlarm = 6;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

type Patience = {
  /** Without a word for so long, the partner is asked where the matter stands; and again after each such time. */
  lookUpAfterMs: number;
  /** Without news for so long, though it was asked: a person's task. */
  alarmAfterMs: number;
};

// biome-ignore format: one row a line, its reason below
export const patience: Readonly<Record<AskedPartner, Patience>> = {
  // A factory works for days on a milestone; a look-up a day costs it nothing.
  factory:   { lookUpAfterMs: dayMs,       alarmAfterMs: 7 * dayMs },
  // The target of a registration is a day (ME5).
  authority: { lookUpAfterMs: dayMs,       alarmAfterMs: dayMs },
  // A tour is a day's work, and the customer may be waiting at home.
  carrier:   { lookUpAfterMs: 12 * hourMs, alarmAfterMs: 2 * dayMs },
};

/** `expectedAt`: the partner's own word for when it is due; it is not disturbed, and nobody worries, before. */
export type Silence = { heardAt: Date; expectedAt: Date | null };

/** When to ask where the matter stands. @param from the last word, or the last time it was asked */
export function nextLookUp(partner: AskedPartner, from: Date, expectedAt: Date | null): Date {
  return new Date(silentSince({ heardAt: from, expectedAt }) + patience[partner].lookUpAfterMs);
}

export function isAlarming(partner: AskedPartner, silence: Silence, now: Date): boolean {
  return now.getTime() - silentSince(silence) >= patience[partner].alarmAfterMs;
}

function silentSince({ heardAt, expectedAt }: Silence): number {
  return Math.max(heardAt.getTime(), expectedAt?.getTime() ?? 0);
}
