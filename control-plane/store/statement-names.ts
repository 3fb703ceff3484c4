import type pg from "pg";

// PostgreSQL parses and plans a statement anew each time it comes without a name: dear for short ones, and a purchase is
// some hundred short ones where few come together (ADR 36 has what was measured).

/**
 * From this use on a text is known to come again and again: what is asked now and then is not worth its place in the
 * memory of every connection, and texts that grow with their parameters are not the same twice.
 */
export const firstNamedUse = 50;
/** Each is memory in each connection. */
const mostNames = 300;
/** Texts that are only counted; beyond, counting begins anew. */
const mostCounted = 2_000;

export type StatementNames = {
  /** Its name from its fiftieth use on; `null` while it has none, or where there are too many. */
  nameOf(text: string): string | null;
  /** Nobody uses the names given so far any more: each text gets a new one. */
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

/**
 * From now on what this connection is asked often is prepared once and then only executed. `pg` prepares a name on
 * each connection when it first comes there.
 */
export function prepareFrequentStatements(client: pg.ClientBase, names: StatementNames): void {
  const ask = client.query.bind(client);
  Object.defineProperty(client, "query", {
    value(...given: unknown[]): unknown {
      const named = nameIn(given, names);
      if (named === null) return Reflect.apply(ask, client, given);
      const answer: unknown = Reflect.apply(ask, client, [named]);
      if (answer instanceof Promise)
        answer.catch((error: unknown) => {
          if (isOutdated(error)) names.forget();
        });
      return answer;
    },
  });
}

function nameIn(
  given: readonly unknown[],
  names: StatementNames,
): { name: string; text: string; values: unknown[] } | null {
  const [text, values, ...more] = given;
  if (typeof text !== "string" || !Array.isArray(values) || values.length === 0 || more.length > 0)
    return null;
  const name = names.nameOf(text);
  return name === null ? null : { name, text, values };
}

const featureNotSupported = "0A000";

/** Another replica has migrated: a table has other columns than when `select *` was prepared. Once a connection. */
function isOutdated(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    error.code === featureNotSupported &&
    "routine" in error &&
    error.routine === "RevalidateCachedQuery"
  );
}
