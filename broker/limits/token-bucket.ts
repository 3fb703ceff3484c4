/** `burst` tokens at most, `perS` of them coming back every second. */
export type Rate = { perS: number; burst: number };

/** A bucket is two numbers; who holds it decides what a token is. */
export type TokenBucket = { tokens: number; atMs: number };

export function fullBucket(rate: Rate, nowMs: number): TokenBucket {
  return { tokens: rate.burst, atMs: nowMs };
}

/** Gives the bucket what has come back since it was last looked at; the tokens in it now. */
export function refill(bucket: TokenBucket, rate: Rate, nowMs: number): number {
  const tokens = bucket.tokens + ((nowMs - bucket.atMs) / 1000) * rate.perS;
  bucket.tokens = tokens < rate.burst ? tokens : rate.burst;
  bucket.atMs = nowMs;
  return bucket.tokens;
}
