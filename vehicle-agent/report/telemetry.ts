import type { Telemetry } from "@caas/contract/telemetry.ts";
import type { AgentParts } from "../agent-parts.ts";
import { paceMs } from "../clock/wake-ups.ts";
import type { TelemetryBuffer } from "./telemetry-buffer.ts";

/** Reads the car at intervals and publishes the readings in order; while unconnected they are stored on disk. */
export type TelemetryDuty = {
  start(): void;
  /** Takes a reading now. */
  read(): Promise<void>;
  /** Sends the oldest waiting readings; the rest follows at a pace within a broker's limits. */
  sendBacklog(): Promise<void>;
};

/** Slow on purpose: it informs, and nothing depends on it (business time). */
const intervalMs = 60_000;

export function createTelemetry(
  parts: Pick<AgentParts, "adapter" | "connection" | "clock" | "time" | "metrics" | "wakeUps"> & {
    buffer: TelemetryBuffer;
  },
): TelemetryDuty {
  const { adapter, connection, clock, time, metrics, wakeUps, buffer } = parts;

  /** Resolves to whether the link took it. */
  function publish(reading: Telemetry): Promise<boolean> {
    return connection.publish("telemetry", JSON.stringify(reading)).then(
      () => {
        metrics?.telemetryHandled("sent", 1);
        return true;
      },
      () => false,
    );
  }

  const scheduleReading = (): void => wakeUps.set("telemetry", paceMs(intervalMs, clock));

  return {
    start: scheduleReading,
    async read() {
      scheduleReading();
      const signals = (await adapter.signals?.()) ?? {};
      if (Object.keys(signals).length === 0) return;
      const reading: Telemetry = { at: time.now().toISOString(), signals };
      if (buffer.length === 0 && connection.isUp && (await publish(reading))) return;
      const dropped = await buffer.add(reading);
      if (dropped > 0) metrics?.telemetryHandled("dropped", dropped);
    },
    async sendBacklog() {
      if (!connection.isUp || buffer.length === 0) return;
      for (const reading of buffer.oldest()) if (!(await publish(reading))) return;
      await buffer.forgetOldest();
      if (buffer.length > 0) wakeUps.set("backlog", paceMs(0, clock));
    },
  };
}
