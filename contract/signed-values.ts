import * as z from "zod";
import { hashText, largestCount } from "./plain-checks.ts";

// Values that cars and the platform sign about each other, with their bounds: what fits is stored as it is, by every
// part, and what does not is refused where it is read.

/** A number that only grows: versions, sequence numbers, connections. */
export const countSchema = (least: 0 | 1) => z.int().min(least).max(largestCount);

/** SHA-256 or a raw Ed25519 key, base64url. */
export const hashSchema = z.string().regex(hashText, "must be 43 characters of base64url");
