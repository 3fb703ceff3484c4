import { createHmac, timingSafeEqual } from "node:crypto";
import type { Vin } from "./vin.ts";

/**
 * The password of one car on plain TCP (loopback only): base64url HMAC-SHA256, so the broker can check it
 * without a database, and a leaked password gives access to one car.
 */
export function carPassword(secret: string, vin: Vin): string {
  return createHmac("sha256", secret).update(`caas-car/v1|${vin}`).digest("base64url");
}

/** Compares in constant time. */
export function isCarPassword(secret: string, vin: Vin, candidate: string): boolean {
  const expected = Buffer.from(carPassword(secret, vin));
  const given = Buffer.from(candidate);
  return expected.length === given.length && timingSafeEqual(expected, given);
}
