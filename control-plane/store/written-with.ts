import { type RawBuilder, sql } from "kysely";

/** The beginning of a statement that also makes `changes`: they need no statement of their own. */
export function writtenWith(changes: readonly RawBuilder<unknown>[]): RawBuilder<unknown> {
  return sql.join(
    changes.map((change, index) => sql`${sql.id(`change_${index}`)} as (${change}), `),
    sql``,
  );
}
