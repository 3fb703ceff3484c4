// Repeatable chance: the same seed gives the same numbers on every machine, whatever the order of events.

/** [0, 1), as `Math.random` gives. */
export type Random = () => number;

/** Mixes every bit of two 32-bit numbers into one (the finaliser of MurmurHash3). */
function mix(a: number, b: number): number {
  let h = Math.imul(a ^ Math.imul(b, 0xcc9e2d51), 0x1b873593) ^ b;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** One 32-bit number for each purpose under a seed. */
export function deriveSeed(seed: number, ...parts: readonly (number | string)[]): number {
  return parts.reduce<number>(
    (sum, part) => mix(sum, typeof part === "string" ? hashText(part) : part >>> 0),
    mix(seed >>> 0, Math.floor(seed / 2 ** 32)),
  );
}

/** Mulberry32 (public domain): 32 bits of state, enough for picking faults and far too little for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
