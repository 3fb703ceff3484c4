// Deadlines and terms are judged by a time that nobody can turn back in the car: the newest instant the
// control plane has signed plus what has run since ("trusted time" of the specification's trust rules).

export type TrustedTime = {
  /**
   * The best reading. After the first signed instant of this boot it rests on nothing else. Before that the
   * time asleep is unknown, so the wall clock may provisionally move it forward, never back.
   */
  now(): Date;
  /** Takes a signed instant; an older one than already known changes nothing, so a replay does not either. */
  witness(signed: Date): void;
  /**
   * Takes a signed instant that may be long past, as that of a key set: it is not earlier than that, which says
   * nothing about how much later it is.
   */
  atLeast(signed: Date): void;
  /** The highest time that rests on signatures alone, ms since 1970: what the journal keeps. */
  highestMs(): number;
};

/** A signed instant no older than this behind what we know is of now, and not a replay from before a sleep. */
const freshWithinMs = 300_000;

/** `persistedMs` is the `highestMs` of the last run, 0 in a new car. */
export function createTrustedTime(
  clock: { now(): Date; elapsedMs(): number },
  persistedMs: number,
): TrustedTime {
  let anchorMs = persistedMs;
  let anchoredAtMs = clock.elapsedMs();
  let witnessed = false;
  const highestMs = (): number => Math.floor(anchorMs + (clock.elapsedMs() - anchoredAtMs));
  const raise = (signed: Date): void => {
    anchorMs = Math.max(highestMs(), signed.getTime());
    anchoredAtMs = clock.elapsedMs();
  };
  return {
    atLeast: raise,
    highestMs: () => (anchorMs === 0 ? 0 : highestMs()),
    now: () => new Date(witnessed ? highestMs() : Math.max(highestMs(), clock.now().getTime())),
    witness(signed) {
      if (signed.getTime() >= highestMs() - freshWithinMs) witnessed = true;
      raise(signed);
    },
  };
}
