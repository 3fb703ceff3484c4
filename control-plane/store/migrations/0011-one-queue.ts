import { type Kysely, sql } from "kysely";

// One queue for all jobs. Those that wait in graphile-worker's tables move, with their attempts and errors, and its
// schema goes: a replica of an earlier version that still enqueues there is refused, instead of leaving jobs that
// nothing would ever run.

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table quick_jobs rename to jobs;
    drop index quick_jobs_due_at_idx;
    create index on jobs (kind, due_at) where attempts < max_attempts;

    do $$
    begin
      if to_regclass('graphile_worker._private_jobs') is not null then
        -- waits for transactions that have enqueued and not yet committed
        lock table graphile_worker._private_jobs in access exclusive mode;
        insert into jobs (kind, payload, key, due_at, attempts, max_attempts, last_error)
        select task.identifier, job.payload::jsonb, job.key, job.run_at, job.attempts, job.max_attempts, job.last_error
        from graphile_worker._private_jobs as job
        join graphile_worker._private_tasks as task on task.id = job.task_id;
        drop schema graphile_worker cascade;
      end if;
    end $$;
  `.execute(db);
}
