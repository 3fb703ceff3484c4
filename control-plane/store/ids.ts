import { v7 } from "uuid";

/** UUID version 7 (RFC 9562): ordered by time, so indexes grow at one end. */
export function newId(): string {
  return v7();
}
