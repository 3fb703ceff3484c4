import { type Kysely, sql } from "kysely";

/** The database is not one that this version may touch, said in a sentence. */
export class SchemaRefused extends Error {
  override name = "SchemaRefused";
}

const history = "kysely_migration";

/**
 * Looks at a database before anything is written to it.
 * @param known the migrations of this version, oldest first
 * @throws SchemaRefused where it holds a newer schema, an incomplete one, or tables that are not ours
 */
export async function refuseOtherSchema(db: Kysely<unknown>, known: readonly string[]): Promise<void> {
  const tables = await listTables(db);
  const done = tables.includes(history) ? await listDone(db) : [];
  const newest = known.at(-1) ?? "none";
  const unknown = done.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new SchemaRefused(
      `the database has the schema ${unknown.at(-1)}, and this version knows schemas up to ${newest}: ` +
        "start the version that made it, or restore a backup from before; nothing was changed",
    );
  const foreign = tables.filter((name) => !name.startsWith(history));
  if (done.length === 0 && foreign.length > 0)
    throw new SchemaRefused(
      `the database holds tables that are not ours (${shorten(foreign)}), and no schema of this program, ` +
        `which needs ${newest}: give it a database of its own; nothing was changed`,
    );
  const missing = known.slice(0, done.length).filter((name) => !done.includes(name));
  if (missing.length > 0)
    throw new SchemaRefused(
      `the database has the schema ${done.at(-1)} without ${missing.join(", ")}, which comes before it: ` +
        "it was made by a version that is not among this one's forerunners; nothing was changed",
    );
}

/** In the schema where new tables would be made. */
async function listTables(db: Kysely<unknown>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select class.relname as name from pg_class class
    where class.relnamespace = to_regnamespace(current_schema()) and class.relkind in ('r', 'p')
      and not exists (
        select from pg_depend where objid = class.oid and deptype = 'e' and classid = 'pg_class'::regclass
      )
    order by class.relname`.execute(db);
  return rows.map(({ name }) => name);
}

async function listDone(db: Kysely<unknown>): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return rows.map(({ name }) => name);
}

function shorten(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(", ");
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
