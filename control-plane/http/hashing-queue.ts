// Hashing a chosen password occupies a thread of the process for 70 ms on purpose. Node has four, and the database's
// log-in and every look-up of a name need them too.

/** Half of Node's threads. */
const mostAtOnce = 2;
/** About a second's work: who would wait longer is told to come again. */
const mostWaiting = 24;

/** Too many passwords are being hashed; nothing was done. */
export class HashingBusy extends Error {
  readonly retryAfterSeconds = 1;
  constructor() {
    super("too many passwords are being checked; try again in a second");
  }
}

/** @throws HashingBusy instead of letting more than a second's work wait */
export type HashInTurn = <Result>(work: () => Promise<Result>) => Promise<Result>;

export function createHashingQueue(limits = { mostAtOnce, mostWaiting }): HashInTurn {
  let underWay = 0;
  const waiting: (() => void)[] = [];

  return async (work) => {
    if (underWay >= limits.mostAtOnce) {
      if (waiting.length >= limits.mostWaiting) throw new HashingBusy();
      // The one before leaves its place to this one.
      await new Promise<void>((begin) => waiting.push(begin));
    } else underWay += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) underWay -= 1;
      else next();
    }
  };
}
