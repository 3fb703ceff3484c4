import { inject } from "vitest";
import { createDatabaseFrom, dropDatabase, uniqueDatabaseName } from "./database-commands.ts";

export type TestDatabase = {
  url: string;
  /** Ends every session on it and removes it. */
  drop: () => Promise<void>;
};

/**
 * A database of its own for a test or a test file, with the control plane's tables (copied from the template
 * that the run migrated once). `name` only makes it recognisable in `pg_stat_activity`.
 */
export async function createTestDatabase(name = "test"): Promise<TestDatabase> {
  const serverUrl = inject("databaseServerUrl");
  const databaseName = uniqueDatabaseName(name);
  const url = await createDatabaseFrom(serverUrl, databaseName, inject("databaseTemplate"));
  return { url, drop: () => dropDatabase(serverUrl, databaseName) };
}
