import { type Clock, realClock } from "@caas/contract/business-clock.ts";
import { createDesiredState } from "@caas/control-plane/features/desired-state/desired-state.ts";
import type { Context } from "@caas/control-plane/lifecycle/context.ts";
import type { Db, Transaction } from "@caas/control-plane/store/database.ts";
import { isConflict } from "@caas/control-plane/store/database-errors.ts";
import { pino } from "pino";

// Rolls changes out as the control plane's bulk entrance lets it: one transaction per wave.

export type RollOuts = {
  /**
   * Changes these cars as the next step of a roll-out.
   * @param read reads what it needs of the changed cars in the same transaction
   * @returns the cars that were changed; the others have a change under way
   */
  change<T>(
    vehicleIds: readonly string[],
    read: (tx: Transaction, changed: string[]) => Promise<T>,
  ): Promise<T>;
  /** Waves that were written again because the database undid them. */
  conflicts(): number;
};

/** As often as the control plane itself tries. */
const conflictTries = 5;

export function openRollOuts(db: Db, clock: Clock): RollOuts {
  const context: Context = {
    db,
    clock,
    realClock,
    random: Math.random,
    logger: pino({ level: "silent" }),
    // A roll-out only writes rows: what follows is the control plane's.
    publish: async (_tx, name) => {
      throw new Error(`a roll-out publishes nothing, and published ${name}`);
    },
  };
  const desiredState = createDesiredState(context, () => 1);
  let release = 0;
  let conflicts = 0;
  return {
    conflicts: () => conflicts,
    async change(vehicleIds, read) {
      release += 1;
      const step = { code: "release", configuration: { release } };
      for (let tries = 1; ; tries += 1)
        try {
          return await db.transaction().execute(async (tx) => {
            const { waiting } = await desiredState.rollOut(tx, vehicleIds, step);
            const left = new Set(waiting);
            return read(
              tx,
              vehicleIds.filter((id) => !left.has(id)),
            );
          });
        } catch (error) {
          // A deadlock with cars' reports ends one of the two; which one is chance.
          if (!isConflict(error) || tries === conflictTries) throw error;
          conflicts += 1;
        }
    },
  };
}
