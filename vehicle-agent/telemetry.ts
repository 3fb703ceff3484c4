import type { Clock } from "@caas/contract/business-clock.ts";
import type { Telemetry } from "@caas/contract/telemetry.ts";
import type { CarAdapter } from "./adapter.ts";
import type { Connection } from "./connection.ts";

/** Publishes what the car reads now; lost readings are not repeated (QoS 0). */
export async function publishTelemetry(
  connection: Connection,
  adapter: CarAdapter,
  clock: Clock,
): Promise<void> {
  if (adapter.signals === undefined || !connection.isUp) return;
  const message: Telemetry = { at: clock.now().toISOString(), signals: await adapter.signals() };
  await connection.publish("telemetry", JSON.stringify(message)).catch(() => undefined);
}
