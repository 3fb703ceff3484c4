import { isIPv4 } from "node:net";

/** Whether `host` is a literal loopback address. A name is not one: its resolver decides where it leads. */
export function isLoopback(host: string): boolean {
  return host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
