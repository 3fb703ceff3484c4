/** At most `burst` tokens, of which `perS` come back every second. */
export type Rate = { perS: number; burst: number };

/** Two numbers; its owner decides what a token is. */
export type TokenBucket = { tokens: number; atMs: number };

export function fullBucket(rate: Rate, nowMs: number): TokenBucket {
  return { tokens: rate.burst, atMs: nowMs };
}

/** Adds the tokens that have come back since the last call. @returns the tokens in it now */
export function refill(bucket: TokenBucket, rate: Rate, nowMs: number): number {
  const tokens = bucket.tokens + ((nowMs - bucket.atMs) / 1000) * rate.perS;
  bucket.tokens = tokens < rate.burst ? tokens : rate.burst;
  bucket.atMs = nowMs;
  return bucket.tokens;
}
