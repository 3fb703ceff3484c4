import { parseJson } from "@caas/contract/parse-json.ts";
import { type Telemetry, telemetrySchema } from "@caas/contract/telemetry.ts";
import * as z from "zod";
import type { AgentStorage } from "../storage/storage.ts";

// Readings of an unconnected car, on disk in a ring of small files: one reading rewrites a few kilobytes, and the
// ring never grows.

export type TelemetryBuffer = {
  /** Waiting readings. */
  readonly length: number;
  /** Stores a reading durably. @returns how many of the oldest were dropped for it */
  add(reading: Telemetry): Promise<number>;
  /** The oldest readings, to be sent together; empty when none waits. */
  oldest(): readonly Telemetry[];
  /** Deletes the readings that `oldest` returned. */
  forgetOldest(): Promise<void>;
};

const segmentSchema = z.strictObject({ sequence: z.int().min(0), readings: z.array(telemetrySchema) });
type Segment = z.infer<typeof segmentSchema>;

/** One reading per minute for a day: 1,440. */
const bounds = { segments: 72, readingsPerSegment: 20 };

export async function openTelemetryBuffer(
  storage: AgentStorage,
  { segments, readingsPerSegment }: typeof bounds = bounds,
): Promise<TelemetryBuffer> {
  const nameOf = (sequence: number): string => `telemetry/${sequence % segments}.json`;
  const found: Segment[] = [];
  for (let slot = 0; slot < segments; slot += 1) {
    const segment = readSegment(await storage.read(nameOf(slot)));
    if (segment !== null) found.push(segment);
  }
  let nextSequence = Math.max(-1, ...found.map(({ sequence }) => sequence)) + 1;
  // Segments beyond the ring, left by an earlier release, are older than the ring is long.
  const waiting = found
    .filter(({ sequence, readings }) => readings.length > 0 && sequence >= nextSequence - segments)
    .sort((a, b) => a.sequence - b.sequence);

  const write = (segment: Segment): Promise<void> =>
    storage.write(nameOf(segment.sequence), JSON.stringify(segment));

  return {
    get length() {
      return waiting.reduce((sum, { readings }) => sum + readings.length, 0);
    },
    async add(reading) {
      const last = waiting.at(-1);
      if (last !== undefined && last.readings.length < readingsPerSegment) {
        last.readings.push(reading);
        await write(last);
        return 0;
      }
      const fresh = { sequence: nextSequence, readings: [reading] };
      nextSequence += 1;
      const [oldest] = waiting;
      const isFull = oldest !== undefined && oldest.sequence <= fresh.sequence - segments;
      if (isFull) waiting.shift();
      waiting.push(fresh);
      await write(fresh);
      return isFull ? oldest.readings.length : 0;
    },
    oldest: () => waiting[0]?.readings ?? [],
    async forgetOldest() {
      const sent = waiting.shift();
      if (sent !== undefined) await write({ sequence: sent.sequence, readings: [] });
    },
  };
}

/** A damaged file counts as none: telemetry informs, and nothing depends on it. */
function readSegment(text: string | null): Segment | null {
  return segmentSchema.safeParse(parseJson(text ?? "")).data ?? null;
}
