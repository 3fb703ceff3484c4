import type { Display } from "@caas/contract/display.ts";
import type { ManifestEntry } from "@caas/contract/manifest.ts";
import type { Telemetry } from "@caas/contract/telemetry.ts";
import type { CarConditions } from "../change/conditions.ts";
import type { SlotReading } from "../change/slots.ts";

/** The complete active configuration of the car. */
export type AppliedConfiguration = {
  version: number;
  /** Hash of the entries in force. */
  hash: string;
  entries: readonly ManifestEntry[];
  /** Its folder on disk; `null` in a car without a disk. */
  directory: string | null;
};

/**
 * The boundary to the car's own systems. `apply` is given the whole active configuration: after a switch,
 * after a switch back, and at every boot; applying the same one again must change nothing.
 */
export type CarAdapter = {
  /** Judges a configuration before anything is touched; a rejection is permanent. */
  check?(configuration: AppliedConfiguration): Promise<{ kind: "ok" } | { kind: "rejected"; detail: string }>;
  /** @throws when the car's systems do not take it; the agent then rolls back. */
  apply(configuration: AppliedConfiguration): Promise<void>;
  /** Whether the car works with the configuration applied last. */
  probe(): Promise<{ healthy: true } | { healthy: false; reason: string }>;
  /** Present readings of the car, for telemetry. */
  signals?(): Promise<Telemetry["signals"]>;
  /** Called with the messages on the car's screen, newest first, after every change of them and at every boot. */
  show?(messages: readonly Display[]): Promise<void>;
  /** Conditions that may keep a staged change waiting; without it nothing does. Must not throw. */
  conditions?(): Promise<CarConditions>;
  /** Calls `onChange` whenever conditions may have changed. @returns ends that */
  watch?(onChange: () => void): () => void;
};

/** The content of a slot in the form an adapter receives. */
export function configurationIn(
  reading: SlotReading,
  directory: string | null,
): { kind: "intact"; configuration: AppliedConfiguration } | { kind: "damaged"; detail: string } {
  if (reading.kind === "damaged") return reading;
  return { kind: "intact", configuration: { ...reading.content, hash: reading.hash, directory } };
}
