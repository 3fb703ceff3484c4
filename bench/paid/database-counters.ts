import { join } from "node:path";
import type pg from "pg";
import { withClient } from "../../lab/database.ts";
import { startEmbeddedPostgres } from "../../start/postgres/embedded-postgres.ts";

/** What the database has done so far, for all its clients. */
export type DatabaseCounters = {
  commits: number;
  rollbacks: number;
  /** `null` where the server does not keep statements. */
  statements: KeptStatements | null;
};

/**
 * `calls`: of what clients sent, and of what a deferred trigger runs at a commit. `forgotten`: how often the server made
 * room by forgetting statements with their calls. `since`: when it began to count, as it says.
 */
export type KeptStatements = { calls: number; forgotten: number; since: string };

/** What it did between two readings. `statements`: a number, or a sentence on why it is not known. */
export type DatabaseWork = { commits: number; rollbacks: number; statements: number | string };

/** The first reading counts its own last statement only when it has ended; the second one's first comes on top. */
const statementsOfReading = 2;

export function workBetween(before: DatabaseCounters, after: DatabaseCounters): DatabaseWork {
  return {
    commits: after.commits - before.commits,
    rollbacks: after.rollbacks - before.rollbacks,
    statements: statementsBetween(before.statements, after.statements),
  };
}

function statementsBetween(before: KeptStatements | null, after: KeptStatements | null): number | string {
  if (before === null || after === null) return "not counted here";
  if (before.since !== after.since) return "the server began to count anew";
  if (before.forgotten !== after.forgotten) return "the server forgot statements";
  return after.calls - before.calls - statementsOfReading;
}

/** More than the texts of a run: some grow with their parameters. */
const keptTexts = 20_000;

/** Starts a server that counts statements: the library that does must be there when the server starts. */
export async function startCountingPostgres(
  dataDir: string,
  onFailure: (reason: string) => void,
  texts = keptTexts,
): Promise<{ url: string; stop(): Promise<void> }> {
  // Not the folder of the platform's own server: an address of that one makes the platform start it.
  const options = { dataDir: join(dataDir, "counting-postgres"), onUnexpectedExit: onFailure };
  const first = await startEmbeddedPostgres(options);
  try {
    await withClient(first.url, async (client) => {
      await client.query("alter system set shared_preload_libraries = 'pg_stat_statements'");
      await client.query(`alter system set pg_stat_statements.max = ${texts}`);
    });
  } finally {
    await first.stop();
  }
  const server = await startEmbeddedPostgres(options);
  await withClient(server.url, (client) => client.query("create extension pg_stat_statements"));
  return server;
}

export async function readDatabaseCounters(url: string): Promise<DatabaseCounters> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ commits: string; rollbacks: string; keeps: boolean }>(
      `select xact_commit as commits, xact_rollback as rollbacks,
              exists (select from pg_extension where extname = 'pg_stat_statements') as keeps
       from pg_stat_database where datname = current_database()`,
    );
    return {
      commits: Number(rows[0]?.commits ?? 0),
      rollbacks: Number(rows[0]?.rollbacks ?? 0),
      statements: rows[0]?.keeps === true ? await readStatements(client) : null,
    };
  });
}

async function readStatements(client: pg.Client): Promise<KeptStatements> {
  const { rows } = await client.query<{ calls: string; forgotten: string; since: string }>(
    `select coalesce(sum(calls), 0) as calls,
            (select dealloc from pg_stat_statements_info) as forgotten,
            (select stats_reset::text from pg_stat_statements_info) as since
     from pg_stat_statements where toplevel`,
  );
  const [row] = rows;
  return { calls: Number(row?.calls), forgotten: Number(row?.forgotten), since: row?.since ?? "" };
}
