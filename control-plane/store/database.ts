import { Kysely, type Transaction as KyselyTransaction, PostgresDialect } from "kysely";
import pg from "pg";
import type { Database } from "./schema.ts";
import { createStatementNames, preparingPool } from "./statement-names.ts";

export type Db = Kysely<Database>;
/** Changes that must happen together happen in one of these. */
export type Transaction = KyselyTransaction<Database>;
/** Reads work with either. */
export type Reader = Kysely<Database>;

const int8 = 20;
const date = 1082;

const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") => {
    // Identity columns stay far below 2^53; dates are calendar days and must not pass through a time zone.
    if (oid === int8) return Number;
    if (oid === date) return (text: string) => text;
    return pg.types.getTypeParser(oid, format ?? "text");
  },
};

export type OpenDatabase = { db: Db; pool: pg.Pool; close(): Promise<void> };

/**
 * @param url `postgres://…`
 * @param maxConnections of this process; PostgreSQL's own limit is shared by all replicas
 */
export function openDatabase(
  url: string,
  maxConnections: number,
  onIdleError: (error: Error) => void,
): OpenDatabase {
  const pool = new pg.Pool({
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: 5_000,
    types,
  });
  // A server that goes away ends idle connections; without a listener the error would end the process.
  pool.on("error", onIdleError);
  pool.on("connect", (client) => client.on("error", onIdleError));
  const dialect = new PostgresDialect({ pool: preparingPool(pool, createStatementNames()) });
  const db = new Kysely<Database>({ dialect });
  return { db, pool, close: () => db.destroy() };
}
