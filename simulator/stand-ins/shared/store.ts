import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { z } from "zod";

// Every stand-in keeps its own documents in its own SQLite file, as the real partner keeps its own database:
// nothing is shared with the platform, and a restart forgets nothing.

/** What a document can be found by, besides its id; `null` leaves it out of that index. */
type Lookups<T, L extends string> = Readonly<Record<L, (document: T) => string | readonly string[] | null>>;

export type Collection<T, L extends string = never> = {
  /** Inserts, or replaces in place: the position among the others stays that of the first insert. */
  put(id: string, document: T): void;
  get(id: string): T | undefined;
  delete(id: string): void;
  /** All documents, oldest first. */
  list(): T[];
  /** Documents whose lookup `name` gave `value`, oldest first. */
  find(name: L, value: string): T[];
};

export type PartnerStore = {
  collection<T, L extends string = never>(
    kind: string,
    schema: z.ZodType<T>,
    lookups?: Lookups<T, L>,
  ): Collection<T, L>;
  /** 1, 2, 3 … for each name, never repeated. */
  nextNumber(name: string): number;
  /**
   * Runs `work` as a whole or, when it throws, not at all; nested calls join the outer one. It can be read at once, and
   * is on disk with everything else of this turn of the event loop: `committed` tells when.
   */
  transaction<T>(work: () => T): T;
  /** What was written so far is on disk: nobody is answered before. @throws when it could not be written */
  committed(): Promise<void>;
  /** Everything held, by kind: what an auditor reads. */
  dump(): Record<string, unknown[]>;
  close(): void;
};

const tables = `
  CREATE TABLE IF NOT EXISTS documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (kind, id)
  );
  CREATE TABLE IF NOT EXISTS lookups (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS lookups_by_value ON lookups (kind, name, value);
  CREATE INDEX IF NOT EXISTS lookups_by_document ON lookups (kind, id);
  CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
`;

/** `path` is a file (its folder is made) or `:memory:`. @throws when the file is no such store or not writable. */
export function openStore(path: string): PartnerStore {
  if (path !== ":memory:") mkdirSync(dirname(path), { recursive: true });
  const database = new DatabaseSync(path);
  // Write-ahead log: a kill -9 loses nothing committed, and each answer costs no extra flush. It is copied into the file
  // after some 40 MB, because that flushes, and every request waits meanwhile.
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 10000;");
  database.exec(tables);

  const upsert = database.prepare(
    "INSERT INTO documents (kind, id, body) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
  );
  const select = database.prepare("SELECT body FROM documents WHERE kind = ? AND id = ?");
  const selectKind = database.prepare("SELECT body FROM documents WHERE kind = ? ORDER BY position");
  const selectAll = database.prepare("SELECT kind, body FROM documents ORDER BY position");
  const selectByLookup = database.prepare(
    `SELECT documents.body FROM lookups JOIN documents USING (kind, id)
     WHERE lookups.kind = ? AND name = ? AND value = ? ORDER BY position`,
  );
  const remove = database.prepare("DELETE FROM documents WHERE kind = ? AND id = ?");
  const selectLookups = database.prepare(
    "SELECT name, value FROM lookups WHERE kind = ? AND id = ? ORDER BY rowid",
  );
  const insertLookup = database.prepare("INSERT INTO lookups (kind, id, name, value) VALUES (?, ?, ?, ?)");
  const removeLookups = database.prepare("DELETE FROM lookups WHERE kind = ? AND id = ?");
  const count = database.prepare(
    "INSERT INTO counters (name, value) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
  );

  /** The transaction of this turn of the event loop: what a hundred requests write costs one commit. */
  let turn: (PromiseWithResolvers<void> & { end: NodeJS.Immediate; isAwaited: boolean }) | null = null;
  let isWorking = false;

  function endTurn(): void {
    const ended = turn;
    if (ended === null) return;
    turn = null;
    clearImmediate(ended.end);
    try {
      database.exec("COMMIT");
      ended.resolve();
    } catch (error) {
      if (database.isTransaction) database.exec("ROLLBACK");
      if (!ended.isAwaited) throw error;
      ended.reject(error);
    }
  }

  const transaction = <T>(work: () => T): T => {
    if (isWorking) return work();
    if (turn === null) {
      database.exec("BEGIN IMMEDIATE");
      turn = { ...Promise.withResolvers<void>(), end: setImmediate(endTurn), isAwaited: false };
    }
    database.exec("SAVEPOINT work");
    isWorking = true;
    try {
      const result = work();
      database.exec("RELEASE work");
      return result;
    } catch (error) {
      // An error of the disk has rolled back the whole turn already.
      if (database.isTransaction) database.exec("ROLLBACK TO work; RELEASE work");
      throw error;
    } finally {
      isWorking = false;
    }
  };

  return {
    collection<T, L extends string>(kind: string, schema: z.ZodType<T>, lookups?: Lookups<T, L>) {
      const read = (row: Record<string, unknown>) => schema.parse(JSON.parse(String(row.body)));
      return {
        put(id: string, document: T) {
          transaction(() => {
            upsert.run(kind, id, JSON.stringify(document));
            const wanted = Object.entries<Lookups<T, L>[L]>(lookups ?? {}).flatMap(([name, values]) =>
              [values(document) ?? []].flat().map((value) => ({ name, value })),
            );
            const known = selectLookups.all(kind, id);
            if (JSON.stringify(known) === JSON.stringify(wanted)) return;
            if (known.length > 0) removeLookups.run(kind, id);
            for (const { name, value } of wanted) insertLookup.run(kind, id, name, value);
          });
        },
        get(id: string) {
          const row = select.get(kind, id);
          return row === undefined ? undefined : read(row);
        },
        delete(id: string) {
          transaction(() => {
            remove.run(kind, id);
            removeLookups.run(kind, id);
          });
        },
        list: () => selectKind.all(kind).map(read),
        find: (name: L, value: string) => selectByLookup.all(kind, name, value).map(read),
      };
    },
    nextNumber: (name) => transaction(() => Number(count.get(name)?.value)),
    transaction,
    committed() {
      if (turn === null) return Promise.resolve();
      turn.isAwaited = true;
      return turn.promise;
    },
    dump() {
      const all: Record<string, unknown[]> = {};
      for (const row of selectAll.all()) {
        const kind = String(row.kind);
        all[kind] ??= [];
        all[kind].push(JSON.parse(String(row.body)));
      }
      return all;
    },
    close() {
      endTurn();
      database.close();
    },
  };
}
