import { isConflict, isDatabaseUnavailable } from "./database-errors.ts";

// Group commit: calls that arrive while a batch is running join the next one. A single call pays nothing for it; under
// load a hundred share one transaction and its handful of statements.

export type GroupCommitOptions = {
  /** Calls per batch. */
  most?: number;
  /** Batches that run at the same time. */
  rounds?: number;
  /** How long a batch waits for further calls, real time: for work that no caller waits for. */
  lingerMs?: number;
};

const defaultMost = 128;
/** A deadlock ends one of the two transactions, and chance decides which. */
const conflictTries = 5;

/**
 * @param runMany does all of them or none; its answers are in the same order. When it throws for several, each runs
 *   by itself, so that one that fails costs the others nothing
 */
export function groupCommit<Item, Answer>(
  runMany: (items: readonly Item[]) => Promise<readonly Answer[]>,
  options: GroupCommitOptions = {},
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

  /** Not at once: calls made in the same turn of the event loop share the batch. */
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
