import type { PostgresCursor, PostgresPool, PostgresPoolClient, PostgresQueryResult } from "kysely";
import type pg from "pg";

// PostgreSQL parses and plans a statement again each time it arrives without a name. That is expensive for short
// statements, and a purchase alone is some sixty of them (ADR 36 has the measurements).

/**
 * A text gets a name at this use. A statement that is rarely used is not worth its memory in every connection, and a
 * text that grows with its parameters is never the same twice.
 */
export const firstNamedUse = 50;
/** Each name takes memory in each connection. */
const mostNames = 300;
/** Texts that are only counted; beyond that, counting starts again. */
const mostCounted = 2_000;

export type StatementNames = {
  /** The text's name from its fiftieth use on; `null` before that, and when there are too many names. */
  nameOf(text: string): string | null;
  /** Gives up all names: each text gets a new one. */
  forget(): void;
};

export function createStatementNames(): StatementNames {
  const names = new Map<string, string>();
  const uses = new Map<string, number>();
  let generation = 1;
  return {
    nameOf(text) {
      const known = names.get(text);
      if (known !== undefined) return known;
      if (names.size >= mostNames) return null;
      const count = (uses.get(text) ?? 0) + 1;
      if (count < firstNamedUse) {
        if (uses.size >= mostCounted) uses.clear();
        uses.set(text, count);
        return null;
      }
      uses.delete(text);
      const name = `caas_${generation}_${names.size + 1}`;
      names.set(text, name);
      return name;
    },
    forget() {
      names.clear();
      generation += 1;
    },
  };
}

/** The pool as Kysely sees it. `pg` prepares a named statement when it first runs on a connection. */
export function preparingPool(pool: pg.Pool, names: StatementNames): PostgresPool {
  // Kysely keeps its own state per client, so a connection must stay the same object.
  const clients = new WeakMap<pg.PoolClient, PreparingClient>();
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const connection = await pool.connect();
      const client = clients.get(connection) ?? new PreparingClient(connection, names);
      clients.set(connection, client);
      return client;
    },
  };
}

class PreparingClient implements PostgresPoolClient {
  readonly #connection: pg.PoolClient;
  readonly #names: StatementNames;

  constructor(connection: pg.PoolClient, names: StatementNames) {
    this.#connection = connection;
    this.#names = names;
  }

  query<R>(text: string, values: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  query(text: unknown, values: readonly unknown[] = []): unknown {
    if (typeof text !== "string") throw new Error("cursors are not used here");
    // `begin`, `commit` and the like have no plan.
    const name = values.length === 0 ? null : this.#names.nameOf(text);
    if (name === null) return this.#connection.query(text, [...values]);
    return this.#connection.query({ name, text, values: [...values] }).catch((error: unknown) => {
      if (isOutdated(error)) this.#names.forget();
      throw error;
    });
  }

  release(destroy?: boolean): void {
    this.#connection.release(destroy);
  }
}

const featureNotSupported = "0A000";

/** Another replica has migrated: a table's columns differ from those of a prepared `select *`. Once per connection. */
function isOutdated(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    error.code === featureNotSupported &&
    "routine" in error &&
    error.routine === "RevalidateCachedQuery"
  );
}
