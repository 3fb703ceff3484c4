/** Codes of PostgreSQL and of the socket that mean "not now" rather than "wrong". */
const unavailable: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ENOENT",
  "08000",
  "08003",
  "08006",
  "53300", // too many connections
  "57P01", // the server is being shut down
  "57P02",
  "57P03", // starting up
]);

/** Messages of `pg` that carry no code: its own words are all there is to go by. */
const unavailableMessages: ReadonlySet<string> = new Set([
  "Connection terminated unexpectedly",
  "Connection terminated due to connection timeout",
  "timeout exceeded when trying to connect",
  "Client has encountered a connection error and is not queryable",
]);

export function isDatabaseUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (unavailableMessages.has(error.message)) return true;
  return "code" in error && typeof error.code === "string" && unavailable.has(error.code);
}

/** PostgreSQL rolled the transaction back so that others could finish; it may simply run again. */
export function isConflict(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "40P01" || error.code === "40001");
}

/** The database is not migrated, or is none of ours. */
export function isTableMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "42P01";
}
