import { createHash, randomInt, timingSafeEqual } from "node:crypto";
import { minuteMs } from "@caas/contract/durations.ts";

/** How long a code may be typed in, business time: time to walk from the screen to the phone, not to pass it on. */
export const validForMs = 10 * minuteMs;

/** Guesses within the life of a code. Five in a million, and a code asked for in between brings no new ones. */
export const triesAllowed = 5;

export const linkCodeDigits = 6;

export function drawLinkCode(): string {
  return String(randomInt(10 ** linkCodeDigits)).padStart(linkCodeDigits, "0");
}

/**
 * A code is stored as a hash that only its own display makes sense of. It cannot withstand a million guesses by
 * somebody who reads the table; its ten minutes and five tries protect it.
 */
export function hashLinkCode(displayId: string, code: string): string {
  return createHash("sha256").update(`${displayId}:${code}`).digest("base64url");
}

export function isLinkCode(displayId: string, code: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashLinkCode(displayId, code)), Buffer.from(hash));
}
