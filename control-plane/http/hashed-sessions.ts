import { createHash } from "node:crypto";
import type { DBAdapter, DBTransactionAdapter, Where } from "better-auth";

// Only the hash of a session's token is in the database: a copy of the database opens no session. A token is 190 random
// bits, so a plain SHA-256 cannot be reversed.

export function hashToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/**
 * better-auth's own adapter, which hashes a session's token on its way into the database and gives back the one that
 * was asked for.
 */
export function hashSessionTokens(adapter: DBAdapter): DBAdapter {
  return {
    ...hashIn(adapter),
    transaction: (run) => adapter.transaction((inner) => run(hashIn(inner))),
  };
}

function hashIn<Adapter extends DBTransactionAdapter>(adapter: Adapter): Adapter {
  return {
    ...adapter,
    async create(given) {
      const token: unknown = Reflect.get(given.data, "token");
      if (given.model !== "session" || typeof token !== "string") return adapter.create(given);
      return withToken(
        await adapter.create({ ...given, data: { ...given.data, token: hashToken(token) } }),
        token,
      );
    },
    async findOne(given) {
      const { where, token } = hashWhere(given.model, given.where);
      return withToken(await adapter.findOne({ ...given, where }), token);
    },
    async update(given) {
      const { where, token } = hashWhere(given.model, given.where);
      return withToken(await adapter.update({ ...given, where }), token);
    },
    findMany: (given) =>
      adapter.findMany(
        given.where === undefined ? given : { ...given, where: hashWhere(given.model, given.where).where },
      ),
    updateMany: (given) => adapter.updateMany({ ...given, where: hashWhere(given.model, given.where).where }),
    delete: (given) => adapter.delete({ ...given, where: hashWhere(given.model, given.where).where }),
    deleteMany: (given) => adapter.deleteMany({ ...given, where: hashWhere(given.model, given.where).where }),
  };
}

/** `token`: the one that a single session is asked for by. */
function hashWhere(model: string, where: Where[]): { where: Where[]; token: string | null } {
  if (model !== "session") return { where, token: null };
  let token: string | null = null;
  const hashed = where.map((condition) => {
    if (condition.field !== "token") return condition;
    if (typeof condition.value === "string") token = condition.value;
    return { ...condition, value: hashValue(condition.value) };
  });
  return { where: hashed, token };
}

function hashValue(value: Where["value"]): Where["value"] {
  if (Array.isArray(value)) return value.map((one) => hashToken(String(one)));
  return typeof value === "string" ? hashToken(value) : value;
}

function withToken<Row>(row: Row, token: string | null): Row {
  if (token !== null && row !== null && typeof row === "object") Reflect.set(row, "token", token);
  return row;
}
