import { type RawBuilder, sql } from "kysely";

/**
 * SQL that writes what moves changed, for many rows at once. A column outside of `columns` is no part of any patch; one
 * that a patch leaves out stays as it is.
 */
export function patchRows<Column extends string>(
  table: "vehicles" | "activations",
  columns: readonly Column[],
  patches: ReadonlyMap<string, Partial<Record<Column, unknown>>>,
): RawBuilder<unknown>[] {
  if (patches.size === 0) return [];
  const list = sql.join(columns.map((column) => sql.ref(column)));
  const texts = [...patches.values()].map((patch) => JSON.stringify(patch));
  return [
    sql`
    update ${sql.table(table)} as moved
    set (${list}) = (select ${list} from jsonb_populate_record(moved, next.patch))
    from unnest(${[...patches.keys()]}::uuid[], ${texts}::jsonb[]) as next (id, patch)
    where moved.id = next.id`,
  ];
}
