import type { Telemetry } from "@caas/contract/telemetry.ts";
import type { CarAdapter } from "./adapter.ts";
import type { AgentClock } from "./agent-clock.ts";
import type { Connection } from "./connection.ts";
import { paceMs } from "./wake-ups.ts";

/** Slow on purpose: it informs, and nothing is decided by it. */
const intervalMs = 60_000;
/** Business ms to the next telemetry. */
export function telemetryDelayMs(clock: Pick<AgentClock, "realDelayMs">): number {
  return paceMs(intervalMs, clock);
}

/** Publishes what the car reads now; lost readings are not repeated (QoS 0). */
export async function publishTelemetry(
  connection: Connection,
  adapter: CarAdapter,
  clock: AgentClock,
): Promise<void> {
  if (adapter.signals === undefined || !connection.isUp) return;
  const message: Telemetry = { at: clock.now().toISOString(), signals: await adapter.signals() };
  await connection.publish("telemetry", JSON.stringify(message)).catch(() => undefined);
}
