import { betterAuth } from "better-auth";
import { APIError } from "better-auth/api";
import { bearer } from "better-auth/plugins";
import type { Db } from "../store/database.ts";
import { hashPassword, verifyPassword } from "./passwords.ts";
import type { Principal } from "./principal.ts";

/** A signed-in person's token: sent as `Authorization: Bearer …` by programs, as a cookie by browsers. */
export type SignedIn = { kind: "signedIn"; token: string; cookies: readonly string[]; principal: Principal };

export type Sessions = {
  /** The same answer, after the same work, for an unknown user and a wrong password. */
  signIn(
    username: string,
    password: string,
    headers: Headers,
  ): Promise<SignedIn | { kind: "wrongCredentials" }>;
  signOut(headers: Headers): Promise<void>;
  /** `null` when nobody is signed in. */
  principalOf(headers: Headers): Promise<Principal | null>;
  changePassword(headers: Headers, current: string, next: string): Promise<"changed" | "wrongCredentials">;
};

const sessionDays = 7;

/**
 * Sessions and passwords are better-auth's. Only the calls below are reachable: its own router, which would
 * bypass the access table, is not mounted.
 *
 * @param secret signs cookies; at least 32 characters
 * @param baseUrl the public address of the REST interface
 */
export function createSessions(db: Db, secret: string, baseUrl: string): Sessions {
  const auth = betterAuth({
    database: { db, type: "postgres" },
    secret,
    baseURL: baseUrl,
    telemetry: { enabled: false },
    logger: { disabled: true },
    emailAndPassword: {
      enabled: true,
      disableSignUp: true,
      minPasswordLength: 12,
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

  async function principalOf(headers: Headers): Promise<Principal | null> {
    const found = await auth.api.getSession({ headers });
    return found === null ? null : toPrincipal(found.user);
  }

  return {
    async signIn(username, password, headers) {
      try {
        const { headers: answered, response } = await auth.api.signInEmail({
          body: { email: username.trim().toLowerCase(), password },
          headers,
          returnHeaders: true,
        });
        const token = answered.get("set-auth-token") ?? response.token;
        const principal = await principalOf(new Headers({ authorization: `Bearer ${token}` }));
        if (principal === null) throw new Error("a session just made is not found");
        return { kind: "signedIn", token, cookies: answered.getSetCookie(), principal };
      } catch (error) {
        if (error instanceof APIError && error.statusCode < 500) return { kind: "wrongCredentials" };
        throw error;
      }
    },
    async signOut(headers) {
      await auth.api.signOut({ headers });
    },
    principalOf,
    async changePassword(headers, currentPassword, newPassword) {
      try {
        await auth.api.changePassword({
          body: { currentPassword, newPassword, revokeOtherSessions: true },
          headers,
        });
        return "changed";
      } catch (error) {
        if (error instanceof APIError && error.statusCode < 500) return "wrongCredentials";
        throw error;
      }
    },
  };
}
