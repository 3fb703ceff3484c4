import { createHmac, timingSafeEqual } from "node:crypto";
import { kyselyAdapter } from "@better-auth/kysely-adapter";
import { dayMs } from "@caas/contract/durations.ts";
import { type BetterAuthOptions, betterAuth } from "better-auth";
import { APIError } from "better-auth/api";
import { bearer } from "better-auth/plugins";
import { sql } from "kysely";
import type pg from "pg";
import type { Db } from "../store/database.ts";
import { groupCommit } from "../store/group-commit.ts";
import { hashSessionTokens, hashToken } from "./hashed-sessions.ts";
import { HashingBusy } from "./hashing-queue.ts";
import { judgePassword, longestPassword, shortestPassword } from "./password-policy.ts";
import { hashPassword, isGeneratedPassword, verifyPassword } from "./passwords.ts";
import type { Principal } from "./principal.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { createTryLimits } from "./try-limits.ts";

/** A signed-in person's token: sent as `Authorization: Bearer …` by programs, as a cookie by browsers. */
export type SignedIn = { kind: "signedIn"; token: string; cookies: readonly string[]; principal: Principal };

export type Sessions = {
  /** The same answer, after the same work, for an unknown user and a wrong password. */
  signIn(given: { username: string; password: string; from: Caller }): Promise<SignedIn | Refusal>;
  signOut(headers: Headers): Promise<void>;
  /** `null` when nobody is signed in. */
  principalOf(headers: Headers): Promise<Principal | null>;
  /** Ends every session of the account, the caller's too. */
  changePassword(given: {
    user: Principal;
    current: string;
    next: string;
    from: Caller;
  }): Promise<{ kind: "changed" } | Refusal>;
};

/** Where a request comes from. `address`: of the client's end of the connection, or as our own proxy says. */
export type Caller = { headers: Headers; address: string };

const sessionDays = 7;
/** better-auth's own default: an older session gets its full time again. */
const refreshAfterDays = 1;

type SessionUser = {
  id: string;
  name: string;
  role: string;
  dealershipId: string | null;
  customerId: string | null;
  expiresAt: Date;
};

/** The user of each token, in the order given; `null` where there is no such session. */
async function findUsers(db: Db, tokens: readonly string[]): Promise<(SessionUser | null)[]> {
  const hashes = tokens.map(hashToken);
  const { rows } = await sql<SessionUser & { token: string }>`
    select session.token, session."expiresAt", owner.id, owner.name, owner.role, owner."dealershipId", owner."customerId"
    from auth_sessions as session join auth_users as owner on owner.id = session."userId"
    where session.token = any(${hashes}::text[])`.execute(db);
  const byHash = new Map(rows.map((row) => [row.token, row]));
  return hashes.map((hash) => byHash.get(hash) ?? null);
}

/**
 * The session's token in `Authorization: Bearer …`, which may carry better-auth's signature; `null` when there is none
 * or its signature does not match.
 */
function readBearerToken(headers: Headers, secret: string): string | null {
  const [, given] = /^bearer ([\w.~+/=%-]+)$/i.exec(headers.get("authorization") ?? "") ?? [];
  if (given === undefined) return null;
  const at = given.indexOf(".");
  if (at === -1) return given;
  const token = given.slice(0, at);
  const expected = createHmac("sha256", secret).update(token).digest();
  const signature = Buffer.from(
    given
      .slice(at + 1)
      .replaceAll("%2B", "+")
      .replaceAll("%2F", "/"),
    "base64",
  );
  return signature.length === expected.length && timingSafeEqual(signature, expected) ? token : null;
}

/**
 * Sessions and passwords are better-auth's. Only the calls below are reachable: its own router, which would
 * bypass the access table, is not mounted.
 *
 * @param secret signs cookies; at least 32 characters
 * @param baseUrl the public address of the REST interface
 */
export function createSessions(
  { db, pool }: { db: Db; pool: pg.Pool },
  secret: string,
  baseUrl: string,
): Sessions {
  const limits = createTryLimits(pool);
  const auth = betterAuth({
    database: (options: BetterAuthOptions) =>
      hashSessionTokens(kyselyAdapter(db, { type: "postgres" })(options)),
    secret,
    baseURL: baseUrl,
    telemetry: { enabled: false },
    logger: { disabled: true },
    emailAndPassword: {
      enabled: true,
      disableSignUp: true,
      minPasswordLength: shortestPassword,
      maxPasswordLength: longestPassword,
      password: { hash: hashPassword, verify: ({ hash, password }) => verifyPassword(hash, password) },
    },
    session: { modelName: "auth_sessions", expiresIn: sessionDays * 86_400 },
    account: { modelName: "auth_accounts" },
    verification: { modelName: "auth_verifications" },
    user: {
      modelName: "auth_users",
      additionalFields: {
        role: { type: "string", input: false },
        dealershipId: { type: "string", required: false, input: false },
        customerId: { type: "string", required: false, input: false },
      },
    },
    plugins: [bearer()],
  });

  type User = {
    id: string;
    name: string;
    role: string;
    dealershipId?: string | null;
    customerId?: string | null;
  };

  function toPrincipal(user: User): Principal {
    const { id: userId, name, role } = user;
    if (role === "customer" && user.customerId)
      return { kind: "customer", userId, name, role, customerId: user.customerId };
    if (role === "sales" && user.dealershipId)
      return { kind: "staff", userId, name, role, dealershipId: user.dealershipId };
    if (role === "admin" || role === "support")
      return { kind: "staff", userId, name, role, dealershipId: null };
    throw new Error(`user ${userId} has the role ${role} without what belongs to it`);
  }

  const findUser = groupCommit((tokens: readonly string[]) => findUsers(db, tokens), { rounds: 2 });

  async function principalOf(headers: Headers): Promise<Principal | null> {
    // Every request of a program needs this: a session that only has to be found is found together with others.
    // Everything else about a token is better-auth's to decide.
    const token = readBearerToken(headers, secret);
    const user = token === null ? null : await findUser(token);
    if (user !== null && user.expiresAt.getTime() - Date.now() > (sessionDays - refreshAfterDays) * dayMs)
      return toPrincipal(user);
    const found = await auth.api.getSession({ headers });
    return found === null ? null : toPrincipal(found.user);
  }

  /** Does `work` if the tries of this account and address are not used up, and counts it. */
  async function tryOnce<Done extends { kind: string }>(
    tried: { account: string; password: string; from: Caller },
    wrong: Refusal,
    work: () => Promise<Done>,
  ): Promise<Done | Refusal> {
    const taken = await limits.take({
      account: tried.account,
      address: tried.from.address,
      isGenerated: isGeneratedPassword(tried.password),
    });
    if (taken.kind === "refused")
      return refuse("tooManyRequests", taken.detail, { retryAfterSeconds: taken.retryAfterSeconds });
    try {
      const done = await work();
      await taken.succeeded();
      return done;
    } catch (error) {
      if (error instanceof HashingBusy) {
        await taken.succeeded();
        return refuse("tooManyRequests", error.message, { retryAfterSeconds: error.retryAfterSeconds });
      }
      if (!(error instanceof APIError) || error.statusCode >= 500) throw error;
      await taken.failed();
      return wrong;
    }
  }

  return {
    signIn({ username, password, from }) {
      const email = username.trim().toLowerCase();
      const wrong = refuse("wrongCredentials", "no account has this user name and password");
      return tryOnce({ account: email, password, from }, wrong, async () => {
        const { headers: answered, response } = await auth.api.signInEmail({
          body: { email, password },
          headers: from.headers,
          returnHeaders: true,
        });
        const token = answered.get("set-auth-token") ?? response.token;
        const principal = await principalOf(new Headers({ authorization: `Bearer ${token}` }));
        if (principal === null) throw new Error("a session just made is not found");
        return { kind: "signedIn", token, cookies: answered.getSetCookie(), principal };
      });
    },
    async signOut(headers) {
      await auth.api.signOut({ headers });
    },
    principalOf,
    async changePassword({ user, current, next, from }) {
      const found = await auth.api.getSession({ headers: from.headers });
      const account = found?.user.email ?? user.userId;
      const wrong = refuse("wrongCredentials", "the current password is wrong", {
        field: "body.currentPassword",
      });
      return tryOnce({ account, password: current, from }, wrong, async () => {
        // Judged as one of the tries: it takes time, too.
        const weakness =
          next === current
            ? "must differ from the current password"
            : await judgePassword(next, [account, user.name]);
        if (weakness !== null) return refuse("badRequest", weakness, { field: "body.newPassword" });
        await auth.api.changePassword({
          body: { currentPassword: current, newPassword: next, revokeOtherSessions: true },
          headers: from.headers,
        });
        return { kind: "changed" };
      });
    },
  };
}
