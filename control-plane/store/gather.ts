import { isConflict, isDatabaseUnavailable } from "./database-errors.ts";

// Group commit: who comes while a round is on its way waits for the next one and is taken along with all others that
// wait. Alone one pays nothing for it; under load a hundred share one transaction and its handful of statements.

export type GatherOptions = {
  /** In one round. */
  most?: number;
  /** Rounds on their way at one time. */
  rounds?: number;
  /** A round waits so long for others to come along; for what nobody waits for. Real time. */
  lingerMs?: number;
};

const defaultMost = 128;
/** A deadlock with somebody else's work ends one of the two; which, is chance. */
const conflictTries = 5;

/**
 * @param runMany does all of them or none; its answers stand in the same order. When it throws for several, each is
 *   done by itself, so that one that cannot be done costs nobody else anything
 */
export function gather<Item, Answer>(
  runMany: (items: readonly Item[]) => Promise<readonly Answer[]>,
  options: GatherOptions = {},
): (item: Item) => Promise<Answer> {
  const { most = defaultMost, rounds = 1, lingerMs = 0 } = options;
  const waiting: { item: Item; resolve(answer: Answer): void; reject(error: unknown): void }[] = [];
  let underWay = 0;
  let isStarting = false;

  async function runTogether(items: readonly Item[]): Promise<readonly Answer[]> {
    for (let tries = 1; ; tries += 1) {
      try {
        const answers = await runMany(items);
        if (answers.length !== items.length)
          throw new Error(`${items.length} were given and ${answers.length} answered`);
        return answers;
      } catch (error) {
        if (!isConflict(error) || tries === conflictTries) throw error;
      }
    }
  }

  async function runRound(): Promise<void> {
    const round = waiting.splice(0, most);
    try {
      const answers = await runTogether(round.map(({ item }) => item));
      for (const [index, answer] of answers.entries()) round[index]?.resolve(answer);
    } catch (error) {
      if (round.length === 1 || isDatabaseUnavailable(error)) {
        for (const { reject } of round) reject(error);
        return;
      }
      for (const { item, resolve, reject } of round)
        try {
          for (const answer of await runTogether([item])) resolve(answer);
        } catch (alone) {
          reject(alone);
        }
    }
  }

  function start(): void {
    isStarting = false;
    while (underWay < rounds && waiting.length > 0) {
      underWay += 1;
      void runRound().finally(() => {
        underWay -= 1;
        startSoon();
      });
    }
  }

  /** Not at once: who comes in the same turn of the event loop comes along. */
  function startSoon(): void {
    if (isStarting || underWay >= rounds || waiting.length === 0) return;
    isStarting = true;
    if (lingerMs === 0 || waiting.length >= most) setImmediate(start);
    else setTimeout(start, lingerMs);
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      startSoon();
    });
}
