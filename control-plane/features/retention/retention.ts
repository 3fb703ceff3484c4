import { hourMs } from "@caas/contract/durations.ts";
import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { pruneJob } from "./jobs.ts";
import { prune } from "./prune.ts";

export type Retention = Capability & {
  /** Makes the job that prunes due now; it makes the next one itself. Replicas share it. */
  schedule(): Promise<void>;
};

/** So that a round has little to do. Real time. */
const everyMs = hourMs;

/** Removes what is kept only for a time: sessions, Idempotency-Keys, ids of webhooks, counts of tries. */
export function createRetention({ db, realClock, logger }: Context): Retention {
  const schedule = (runAt: Date): Promise<void> =>
    db.transaction().execute((tx) => enqueue(tx, pruneJob, [{ payload: {}, key: pruneJob.name, runAt }]));

  return {
    jobs: [
      handleJob(pruneJob, async () => {
        const now = realClock.now();
        const rows = await prune(db, now);
        if (rows > 0) logger.info({ rows }, "rows that had their time were removed");
        await schedule(new Date(now.getTime() + everyMs));
      }),
    ],
    schedule: () => schedule(realClock.now()),
  };
}
