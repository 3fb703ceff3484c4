import { sql } from "kysely";
import type { Transaction } from "../store/database.ts";

/**
 * Writes what moves changed, for many rows in one statement. A column outside of `columns` is no part of any patch;
 * one that a patch leaves out stays as it is.
 */
export async function applyPatches<Column extends string>(
  tx: Transaction,
  table: "vehicles" | "activations",
  columns: readonly Column[],
  patches: ReadonlyMap<string, Partial<Record<Column, unknown>>>,
): Promise<void> {
  if (patches.size === 0) return;
  const list = sql.join(columns.map((column) => sql.ref(column)));
  const texts = [...patches.values()].map((patch) => JSON.stringify(patch));
  await sql`
    update ${sql.table(table)} as moved
    set (${list}) = (select ${list} from jsonb_populate_record(moved, next.patch))
    from unnest(${[...patches.keys()]}::uuid[], ${texts}::jsonb[]) as next (id, patch)
    where moved.id = next.id`.execute(tx);
}
