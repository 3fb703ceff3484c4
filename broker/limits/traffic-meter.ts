import type { Duplex } from "node:stream";
import type { Metrics } from "../metrics.ts";
import { ConnectionFault } from "./connection-fault.ts";
import { fullBucket, type Rate, refill, type TokenBucket } from "./token-bucket.ts";

// What one car may send. We stop reading from a car that exceeds its rate until it is within it again, which the car
// notices as back-pressure; a car that goes on all the same is cut. Two numbers per car and one timer for all.

export type TrafficLimits = {
  /** Packets of any type. */
  carMessages: Rate;
  carBytes: Rate;
  /** A car that keeps needing pauses for this long is cut. */
  evictAfterMs: number;
};

type ExcessOf = "message-rate" | "byte-rate";

/** What one connection has sent. */
export type Meter = {
  /** While paused its socket must not be read. */
  isPaused(): boolean;
  /** Counts what was just read; after this the connection may be paused. */
  took(packets: number, bytes: number): void;
};

export type Traffic = {
  /** `onResume` is called when a pause is over. */
  meter(conn: Duplex, onResume: () => void): Meter;
  /** Ends pauses that are over, cuts cars that do not stop: call it a few times per second. */
  sweep(): void;
};

type Paused = { reason: ExcessOf; sinceMs: number; resume(): void; isWithin(nowMs: number): boolean };

/** Another pause within this time belongs to the same excess. */
const calmMs = 2_000;

export function createTraffic(limits: TrafficLimits, metrics: Metrics, monotonicMs: () => number): Traffic {
  const paused = new Map<Duplex, Paused>();

  return {
    meter(conn, onResume) {
      const messages: TokenBucket = fullBucket(limits.carMessages, monotonicMs());
      const bytes: TokenBucket = fullBucket(limits.carBytes, monotonicMs());
      let isPaused = false;
      let sinceMs = 0;
      let resumedAtMs = Number.NEGATIVE_INFINITY;
      const isWithin = (nowMs: number) =>
        refill(messages, limits.carMessages, nowMs) >= 0 && refill(bytes, limits.carBytes, nowMs) >= 0;

      function pause(nowMs: number): void {
        const reason: ExcessOf = messages.tokens < 0 ? "message-rate" : "byte-rate";
        if (nowMs - resumedAtMs > calmMs) {
          sinceMs = nowMs;
          metrics.carPaused(reason);
        }
        isPaused = true;
        const resume = () => {
          isPaused = false;
          resumedAtMs = monotonicMs();
          onResume();
        };
        paused.set(conn, { reason, sinceMs, resume, isWithin });
      }

      conn.once("close", () => paused.delete(conn));

      return {
        isPaused: () => isPaused,
        took(packetCount, byteCount) {
          messages.tokens -= packetCount;
          bytes.tokens -= byteCount;
          // The clock is read only when the tokens left are used up.
          if (isPaused || (messages.tokens >= 0 && bytes.tokens >= 0)) return;
          const nowMs = monotonicMs();
          if (!isWithin(nowMs)) pause(nowMs);
        },
      };
    },
    sweep() {
      const nowMs = monotonicMs();
      for (const [conn, { reason, sinceMs, resume, isWithin }] of paused) {
        if (nowMs - sinceMs >= limits.evictAfterMs) {
          paused.delete(conn);
          conn.destroy(new ConnectionFault(reason));
        } else if (isWithin(nowMs)) {
          paused.delete(conn);
          resume();
        }
      }
    },
  };
}
