import type { Db, Transaction } from "../store/database.ts";
import { groupCommit } from "../store/group-commit.ts";
import type { Refusal } from "./refusal.ts";

/** What a route does when it is called: one function, for one request or for those that arrive together. */
export type Work<Item, Done> =
  | {
      /** Gets a transaction of its own; a refusal undoes all of it. */
      run(tx: Transaction, item: Item): Promise<Done | Refusal>;
    }
  | {
      /**
       * For what many do at the same time. The answers are in the same order; a refused request must have changed
       * nothing, because the others commit.
       */
      runMany: RunMany<Item, Done>;
    };

export type RunMany<Item, Done> = (
  tx: Transaction,
  items: readonly Item[],
) => Promise<readonly (Done | Refusal)[]>;

/**
 * Runs requests in transactions: those of `runMany` together, those of `run` one by one. A transaction in which
 * everything was refused is rolled back.
 *
 * @param once wraps the work so that what was done before is not done again
 */
export function createRunner<Item, Done extends { kind: string }, Given, Answer extends { kind: string }>(
  db: Db,
  work: Work<Item, Done>,
  once: (runMany: RunMany<Item, Done>) => RunMany<Given, Answer>,
): (given: Given) => Promise<Answer | Refusal> {
  const { runMany, ...options } =
    "runMany" in work
      ? { runMany: work.runMany }
      : {
          runMany: async (tx: Transaction, [item]: readonly Item[]) =>
            item === undefined ? [] : [await work.run(tx, item)],
          most: 1,
          rounds: Number.POSITIVE_INFINITY,
        };
  const runOnce = once(runMany);
  return groupCommit((all: readonly Given[]) => transact(db, (tx) => runOnce(tx, all)), options);
}

/** One transaction, rolled back when everything in it was refused. */
export async function transact<Done extends { kind: string }>(
  db: Db,
  work: (tx: Transaction) => Promise<readonly (Done | Refusal)[]>,
): Promise<readonly (Done | Refusal)[]> {
  try {
    return await db.transaction().execute(async (tx) => {
      const outcomes = await work(tx);
      if (outcomes.every(isRefusal)) throw new AllRefused(outcomes);
      return outcomes;
    });
  } catch (error) {
    if (error instanceof AllRefused) return error.refusals;
    throw error;
  }
}

function isRefusal(outcome: { kind: string } | Refusal): outcome is Refusal {
  return outcome.kind === "refused";
}

class AllRefused extends Error {
  readonly refusals: readonly Refusal[];
  constructor(refusals: readonly Refusal[]) {
    super("the transaction is rolled back");
    this.refusals = refusals;
  }
}
