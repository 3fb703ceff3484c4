import type { Client } from "aedes";
import { ConnectionFault } from "./first-packet-guard.ts";

export type DrainLimits = { drainTimeoutMs: number; maxUnsentBytes: number };

/**
 * Towards a car nobody waits. When a car's socket is full, aedes holds back the *publisher* until it drains, and the
 * publisher is the control plane with everybody else's manifests behind this one. So its "call me when drained" is
 * answered at once, and the car is cut when it takes nothing for `drainTimeoutMs` or owes `maxUnsentBytes`;
 * what it lost comes again with its next report.
 */
export function neverWaitFor(client: Client, limits: DrainLimits): void {
  const { conn } = client;
  let timer: NodeJS.Timeout | undefined;
  const cut = () => conn.destroy(new ConnectionFault("slow-subscriber"));
  Object.assign(client, {
    waitForDrain(done: (error: null, client: Client) => void) {
      setImmediate(done, null, client);
      if (conn.destroyed) return;
      if (conn.writableLength > limits.maxUnsentBytes) {
        cut();
        return;
      }
      if (timer !== undefined) return;
      timer = setTimeout(cut, limits.drainTimeoutMs);
      // aedes emits "drain" itself when it closes the connection, which also ends the timer.
      conn.once("drain", () => {
        clearTimeout(timer);
        timer = undefined;
      });
    },
  });
}
