// One timer for the keep-alive of every car in the process: thousands of timers would cost memory and wake the
// processor at thousands of different moments.

export type KeepAliveWheel = {
  /** Calls `beat` once per turn from now on. @returns a function that ends that */
  join(beat: () => void): () => void;
  /** How many are on it. */
  readonly members: number;
};

/** Starts calling `tick` at the wheel's pace. @returns a function that ends that */
export type WheelDrive = (tick: () => void) => () => void;

/** A turn takes half the keep-alive: one lost ping is noticed within it. */
export const turnSeconds = 30;

const everySecond: WheelDrive = (tick) => {
  const timer = setInterval(tick, 1_000);
  timer.unref();
  return () => clearInterval(timer);
};

/** `drive` ticks `turnSeconds` times per turn, and only while the wheel has members. */
export function createKeepAliveWheel(drive: WheelDrive = everySecond): KeepAliveWheel {
  const spokes = Array.from({ length: turnSeconds }, () => new Set<() => void>());
  let position = 0;
  let members = 0;
  let halt: (() => void) | null = null;

  function tick(): void {
    position = (position + 1) % turnSeconds;
    for (const beat of spokes[position] ?? []) beat();
  }

  return {
    join(beat) {
      // The spoke that just passed: the first beat comes after a whole turn.
      const spoke = spokes[position];
      // A function of its own, or one beat given twice would be one member.
      const member = (): void => beat();
      spoke?.add(member);
      members += 1;
      halt ??= drive(tick);
      return () => {
        if (spoke?.delete(member) !== true) return;
        members -= 1;
        if (members > 0) return;
        halt?.();
        halt = null;
      };
    },
    get members() {
      return members;
    },
  };
}
