import type { ManifestEntry } from "@caas/contract/manifest.ts";
import * as z from "zod";

// How long entries are in force. The first manifest of a paid period carries a duration, which starts when the car
// applies it; later ones carry the instant. The car ends an entry itself, connected or not.

export const termSchema = z.discriminatedUnion("state", [
  z.strictObject({ state: z.literal("starting"), seconds: z.int().min(1) }),
  z.strictObject({
    state: z.literal("running"),
    appliedAt: z.iso.datetime().nullable(),
    validUntil: z.iso.datetime(),
  }),
  z.strictObject({
    state: z.literal("ended"),
    appliedAt: z.iso.datetime().nullable(),
    validUntil: z.iso.datetime(),
  }),
]);
export type Term = z.infer<typeof termSchema>;

/** By entry id; entries without an end have none. */
export const termsSchema = z.record(z.string(), termSchema);
export type Terms = z.infer<typeof termsSchema>;

/**
 * The entries of a manifest that are in force at `now`, and their terms. A duration that this car has already
 * started continues from its first start: a newer manifest that still carries it does not prolong it.
 */
export function planTerms(
  entries: readonly ManifestEntry[],
  known: Terms,
  now: Date,
): { inForce: ManifestEntry[]; terms: Terms } {
  const terms: Terms = {};
  for (const { id, term } of entries) {
    const planned = planTerm(term, known[id], now);
    if (planned !== null) terms[id] = planned;
  }
  return { inForce: entries.filter(({ id }) => terms[id]?.state !== "ended"), terms };
}

function planTerm(term: ManifestEntry["term"], known: Term | undefined, now: Date): Term | null {
  if (term.kind === "unlimited") return null;
  const appliedAt = known === undefined || known.state === "starting" ? null : known.appliedAt;
  if (term.kind === "duration" && appliedAt === null) return { state: "starting", seconds: term.seconds };
  const validUntil =
    term.kind === "until"
      ? term.validUntil
      : new Date(Date.parse(appliedAt ?? "") + term.seconds * 1000).toISOString();
  return { state: Date.parse(validUntil) <= now.getTime() ? "ended" : "running", appliedAt, validUntil };
}

/** The terms once the car has applied them at `appliedAt`. */
export function startTerms(terms: Terms, appliedAt: Date): Terms {
  return Object.fromEntries(
    Object.entries(terms).map(([id, term]) => [
      id,
      term.state === "starting"
        ? {
            state: "running" as const,
            appliedAt: appliedAt.toISOString(),
            validUntil: new Date(appliedAt.getTime() + term.seconds * 1000).toISOString(),
          }
        : term,
    ]),
  );
}

/** The terms, with those over at `now` marked as ended; `null` when none has newly ended. */
export function endTerms(terms: Terms, now: Date): Terms | null {
  let changed = false;
  const ended = Object.fromEntries(
    Object.entries(terms).map(([id, term]) => {
      if (term.state !== "running" || Date.parse(term.validUntil) > now.getTime()) return [id, term];
      changed = true;
      return [id, { ...term, state: "ended" as const }];
    }),
  );
  return changed ? ended : null;
}

/** When the next running term is over; `null` when none runs. */
export function nextTermEnd(terms: Terms): Date | null {
  let nextMs = Number.POSITIVE_INFINITY;
  for (const term of Object.values(terms))
    if (term.state === "running") nextMs = Math.min(nextMs, Date.parse(term.validUntil));
  return nextMs === Number.POSITIVE_INFINITY ? null : new Date(nextMs);
}
