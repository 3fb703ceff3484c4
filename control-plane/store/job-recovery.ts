import { setTimeout as delay } from "node:timers/promises";
import type pg from "pg";
import type { Logger } from "pino";

// A worker marks the jobs it takes, up to a hundred at once. One that is killed leaves its marks behind, and the
// queue itself believes them for four hours: a capture or a release would wait that long. So each worker shows
// that it lives by an advisory lock, which PostgreSQL lets go with the connection, and whoever lives takes off
// the marks of those without one.

export type JobRecovery = { stop(): Promise<void> };

/** The first of the advisory lock's two numbers; the other is the hash of the worker's name. */
const lockClass = 0x63616173; // "caas"
const lookEveryMs = 1_000;
/** A worker takes its first jobs while it is still taking its lock. */
const graceSeconds = 3;

const findDead = `
  select distinct job.locked_by as name
  from graphile_worker._private_jobs job
  where job.locked_at < now() - make_interval(secs => $2)
    and not exists (
      select from pg_locks held
      where held.locktype = 'advisory' and held.granted and held.classid = $1
        and held.database = (select oid from pg_database where datname = current_database())
        and held.objid::bigint = hashtext(job.locked_by)::bigint & 4294967295)`;

/**
 * Keeps `workerName` known to be alive, and gives the jobs of workers that died back to be run. A connection of the
 * pool is held all the time.
 */
export function recoverJobsOfTheDead(options: {
  pool: pg.Pool;
  workerName: string;
  logger: Logger;
}): JobRecovery {
  const { pool, workerName, logger } = options;
  const stopping = new AbortController();

  async function watch(client: pg.PoolClient): Promise<void> {
    await client.query("select pg_advisory_lock($1, hashtext($2))", [lockClass, workerName]);
    while (!stopping.signal.aborted) {
      const { rows } = await client.query<{ name: string }>(findDead, [lockClass, graceSeconds]);
      const names = rows.map(({ name }) => name);
      if (names.length > 0) {
        await client.query("select graphile_worker.force_unlock_workers($1::text[])", [names]);
        logger.warn({ workers: names }, "jobs of workers that died are run again");
      }
      await delay(lookEveryMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  /** The lock ends with its connection, so after a broken one everything begins anew. */
  async function keepWatching(): Promise<void> {
    while (!stopping.signal.aborted) {
      let client: pg.PoolClient | undefined;
      try {
        client = await pool.connect();
        await watch(client);
      } catch (error) {
        logger.warn({ err: error }, "looking for jobs of dead workers failed");
        await delay(lookEveryMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      } finally {
        // Not given back to the pool: the session holds the lock.
        client?.release(true);
      }
    }
  }

  const watching = keepWatching();
  return {
    async stop() {
      stopping.abort();
      await watching;
    },
  };
}
