import { join } from "node:path";
import { withClient } from "../../lab/database.ts";
import { startEmbeddedPostgres } from "../../start/postgres/embedded-postgres.ts";

/** What the database has done so far, for all its clients. */
export type DatabaseCounters = {
  commits: number;
  rollbacks: number;
  /** `null` where the server does not keep statements. */
  statements: number | null;
};

/** Starts a server that counts statements: the library that does must be there when the server starts. */
export async function startCountingPostgres(
  dataDir: string,
  onFailure: (reason: string) => void,
): Promise<{ url: string; stop(): Promise<void> }> {
  // Not the folder of the platform's own server: an address of that one makes the platform start it.
  const options = { dataDir: join(dataDir, "counting-postgres"), onUnexpectedExit: onFailure };
  const first = await startEmbeddedPostgres(options);
  try {
    await withClient(first.url, (client) =>
      client.query("alter system set shared_preload_libraries = 'pg_stat_statements'"),
    );
  } finally {
    await first.stop();
  }
  const server = await startEmbeddedPostgres(options);
  await withClient(server.url, (client) => client.query("create extension pg_stat_statements"));
  return server;
}

export async function readDatabaseCounters(url: string): Promise<DatabaseCounters> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ commits: string; rollbacks: string }>(
      `select xact_commit as commits, xact_rollback as rollbacks from pg_stat_database
       where datname = current_database()`,
    );
    const { rows: kept } = await client.query<{ kept: boolean }>(
      "select exists (select 1 from pg_extension where extname = 'pg_stat_statements') as kept",
    );
    const statements = kept[0]?.kept
      ? (
          await client.query<{ calls: string }>(
            "select coalesce(sum(calls), 0) as calls from pg_stat_statements where toplevel",
          )
        ).rows[0]?.calls
      : undefined;
    return {
      commits: Number(rows[0]?.commits ?? 0),
      rollbacks: Number(rows[0]?.rollbacks ?? 0),
      statements: statements === undefined ? null : Number(statements),
    };
  });
}
