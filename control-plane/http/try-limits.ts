import { createHash } from "node:crypto";
import { plainAddress, sourceOf } from "@caas/contract/address-source.ts";
import { minuteMs } from "@caas/contract/durations.ts";
import type pg from "pg";
import { RateLimiterPostgres, RateLimiterRes } from "rate-limiter-flexible";

// Tries with a password, counted in the database and so over all replicas. Rows of the past are pruned by a job.

/** A minute, real time: a person who mistyped waits no longer. */
const windowSeconds = minuteMs / 1_000;

/** Tries in a minute. */
export const mostTries = {
  /** Enough for a person who mistypes. Whoever knows a user name can use them up; sessions are not affected. */
  account: 10,
  /** A dealership's employees may share one address. Only tries that fail are counted in the end. */
  address: 60,
  /** Failed tries from everywhere, against lists of stolen passwords tried from many addresses. */
  total: 1_000,
};

export type TryLimits = {
  /** Counts a try. A generated password costs no hashing and cannot be guessed, so only a failure with one counts. */
  take(tried: {
    account: string;
    address: string;
    isGenerated: boolean;
  }): Promise<TakenTry | { kind: "refused"; detail: string; retryAfterSeconds: number }>;
};

export type TakenTry = { kind: "taken"; succeeded(): Promise<void>; failed(): Promise<void> };

export function createTryLimits(pool: pg.Pool, most = mostTries): TryLimits {
  const limiterOf = (keyPrefix: keyof typeof mostTries) =>
    new RateLimiterPostgres({
      storeClient: pool,
      storeType: "pool",
      tableName: "try_limits",
      tableCreated: true,
      clearExpiredByTimeout: false,
      keyPrefix,
      points: most[keyPrefix],
      duration: windowSeconds,
    });
  const limiters = {
    account: limiterOf("account"),
    address: limiterOf("address"),
    total: limiterOf("total"),
  };

  return {
    async take({ account, address, isGenerated }) {
      const keys = { account: nameOf(account), address: sourceOf(plainAddress(address)), total: "all" };
      const cost = isGenerated ? 0 : 1;
      // The address first: one that is refused must not use up the tries of an account.
      for (const [kind, points] of [
        ["address", cost],
        ["total", cost],
        ["account", 1],
      ] as const) {
        const waitMs = await consume(limiters[kind], keys[kind], points);
        if (waitMs === null) continue;
        const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1_000));
        return {
          kind: "refused",
          detail: `${reasons[kind]}; try again in ${retryAfterSeconds} s`,
          retryAfterSeconds,
        };
      }
      const move = async (by: number): Promise<void> => {
        if (by === 0) return;
        for (const kind of ["address", "total"] as const) await limiters[kind].penalty(keys[kind], by);
      };
      return { kind: "taken", succeeded: () => move(-cost), failed: () => move(1 - cost) };
    },
  };
}

const reasons = {
  account: `at most ${mostTries.account} tries a minute for one account`,
  address: `too many failed tries from your address`,
  total: "too many failed tries altogether",
};

/** A user name has up to 320 characters, and belongs into no other table. */
function nameOf(account: string): string {
  return createHash("sha256").update(account).digest("base64url");
}

/** @param points 0 only looks. @returns how long to wait, or `null` for a try that is allowed */
async function consume(limiter: RateLimiterPostgres, key: string, points: number): Promise<number | null> {
  if (points === 0) {
    const used = await limiter.get(key);
    return used !== null && used.consumedPoints >= limiter.points ? used.msBeforeNext : null;
  }
  try {
    await limiter.consume(key, points);
    return null;
  } catch (error) {
    // The library throws its result for a refusal, and an error for a database that fails.
    if (error instanceof RateLimiterRes) return error.msBeforeNext;
    throw error;
  }
}
