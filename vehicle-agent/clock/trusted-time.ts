// Deadlines and terms are judged by a time that cannot be turned back in the car: the newest instant the
// control plane has signed plus the time elapsed since ("trusted time" of the specification's trust rules).

export type TrustedTime = {
  /**
   * The best reading. After the first signed instant of this boot it depends on nothing else. Before that the
   * time asleep is unknown, so the wall clock may provisionally move it forward, never back.
   */
  now(): Date;
  /** Takes a signed instant; one older than already known changes nothing, so neither does a replay. */
  witness(signed: Date): void;
  /**
   * Takes a signed instant that may be long past, such as that of a key set: the time is not earlier, but may be much
   * later.
   */
  atLeast(signed: Date): void;
  /** The highest time based on signatures alone, ms since 1970; the journal stores it. */
  highestMs(): number;
  /** The newest signed instant itself, ms since 1970, 0 before the first; the journal stores it. */
  lastSignedMs(): number;
};

/** A signed instant at most this far behind our time is current, and not a replay from before a sleep. */
const freshWithinMs = 300_000;

/** `persistedMs` and `persistedSignedMs` are the `highestMs` and `lastSignedMs` of the last run, 0 in a new car. */
export function createTrustedTime(
  clock: { now(): Date; elapsedMs(): number },
  persistedMs: number,
  persistedSignedMs = 0,
): TrustedTime {
  let anchorMs = persistedMs;
  let anchoredAtMs = clock.elapsedMs();
  let witnessed = false;
  let lastSignedMs = persistedSignedMs;
  const highestMs = (): number => Math.floor(anchorMs + (clock.elapsedMs() - anchoredAtMs));
  const raise = (signed: Date): void => {
    anchorMs = Math.max(highestMs(), signed.getTime());
    anchoredAtMs = clock.elapsedMs();
    lastSignedMs = Math.max(lastSignedMs, signed.getTime());
  };
  return {
    lastSignedMs: () => lastSignedMs,
    atLeast: raise,
    highestMs: () => (anchorMs === 0 ? 0 : highestMs()),
    now: () => new Date(witnessed ? highestMs() : Math.max(highestMs(), clock.now().getTime())),
    witness(signed) {
      if (signed.getTime() >= highestMs() - freshWithinMs) witnessed = true;
      raise(signed);
    },
  };
}
