import type { ServedClient } from "../aedes/served-client.ts";
import { ConnectionFault } from "./connection-fault.ts";

export type DrainLimits = { drainTimeoutMs: number; maxUnsentBytes: number };

/**
 * Nothing waits for a car. When a car's socket is full, aedes holds back the *publisher* until it drains, and the
 * publisher is the control plane with every other car's manifest behind this one. So waiting ends at once, and the
 * car is cut when it takes nothing for `drainTimeoutMs` or has more than `maxUnsentBytes` unsent; what it lost is sent
 * again after its next report.
 */
export function neverWaitFor(client: ServedClient, limits: DrainLimits): void {
  const { conn } = client;
  let timer: NodeJS.Timeout | undefined;
  const cut = () => conn.destroy(new ConnectionFault("slow-subscriber"));
  client.neverWait(() => {
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
  });
}
