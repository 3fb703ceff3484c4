import type { Socket } from "node:net";
import { plainAddress, sourceOf } from "@caas/contract/address-source.ts";
import type { Identity } from "../access/access.ts";
import type { Metrics, Transport } from "../metrics.ts";
import { fullBucket, type Rate, refill, type TokenBucket } from "./token-bucket.ts";

// How many connections come in, how fast, and how long they may take to prove their identity. Decided before a byte
// is read.

export type DoorLimits = {
  connects: Rate;
  connectsPerSource: Rate;
  /** Cars connected at once. */
  maxConnections: number;
  /** Connections that have not yet proved their identity. */
  maxUnauthenticated: number;
  /** For TCP connection, TLS handshake and CONNECT together. */
  connectTimeoutMs: number;
};

/** One admitted connection. */
export type Admission = {
  acceptedAtMs: number;
  /** Its identity is proved. `full` for a car beyond the limit; the control plane may exceed it. */
  authenticated(identity: Identity["kind"]): "admitted" | "full";
  /** Ends it when it is late; the code that serves it sets a better way. */
  endLate: () => void;
};

export type DoorRefusal =
  | "connect-rate"
  | "source-connect-rate"
  | "too-many-connections"
  | "too-many-unauthenticated";

export type Door = {
  /** Counts the connection until it closes; `undefined` when it was refused, counted and destroyed. */
  admit(socket: Socket, transport: Transport): Admission | undefined;
  /** Ends connections that took too long, forgets quiet sources: call it a few times per second. */
  sweep(): void;
};

/** Places beyond the limit, so that a fleet that fills the broker cannot keep the control plane out. */
const placesKept = 64;
/** Sources remembered at once, about 20 MB; all others share one bucket. */
const maxSources = 100_000;

export function createDoor(
  limits: DoorLimits,
  options: { exemptAddresses: ReadonlySet<string>; metrics: Metrics; monotonicMs: () => number },
): Door {
  const { exemptAddresses, metrics, monotonicMs } = options;
  const all = fullBucket(limits.connects, monotonicMs());
  const sources = new Map<string, TokenBucket>();
  const crowd = fullBucket(limits.connectsPerSource, monotonicMs());
  /** In order of arrival: the oldest is first. */
  const unauthenticated = new Map<Socket, Admission>();
  let connections = 0;

  function judge(address: string, nowMs: number): DoorRefusal | undefined {
    if (connections >= limits.maxConnections + placesKept) return "too-many-connections";
    if (exemptAddresses.has(address)) return undefined;
    if (unauthenticated.size >= limits.maxUnauthenticated) return "too-many-unauthenticated";
    const source = bucketOf(sourceOf(address), nowMs);
    if (refill(source, limits.connectsPerSource, nowMs) < 1) return "source-connect-rate";
    if (refill(all, limits.connects, nowMs) < 1) return "connect-rate";
    // Taken together, so that a refused source does not use up the tokens of all.
    source.tokens -= 1;
    all.tokens -= 1;
    return undefined;
  }

  function bucketOf(source: string, nowMs: number): TokenBucket {
    const known = sources.get(source);
    if (known !== undefined) return known;
    if (sources.size >= maxSources) return crowd;
    const bucket = fullBucket(limits.connectsPerSource, nowMs);
    sources.set(source, bucket);
    return bucket;
  }

  return {
    admit(socket, transport) {
      const acceptedAtMs = monotonicMs();
      const refusal = judge(plainAddress(socket.remoteAddress ?? ""), acceptedAtMs);
      if (refusal !== undefined) {
        metrics.connectRefused(transport, refusal);
        socket.destroy();
        return undefined;
      }
      connections += 1;
      const admission: Admission = {
        acceptedAtMs,
        authenticated(identity) {
          unauthenticated.delete(socket);
          return identity === "car" && connections > limits.maxConnections ? "full" : "admitted";
        },
        endLate: () => void socket.destroy(),
      };
      unauthenticated.set(socket, admission);
      socket.once("close", () => {
        connections -= 1;
        unauthenticated.delete(socket);
      });
      return admission;
    },
    sweep() {
      const nowMs = monotonicMs();
      for (const [socket, admission] of unauthenticated) {
        if (nowMs - admission.acceptedAtMs < limits.connectTimeoutMs) break;
        unauthenticated.delete(socket);
        admission.endLate();
      }
      // A few at a time, oldest first: a full bucket is as good as none.
      let looked = 0;
      for (const [source, bucket] of sources) {
        if (++looked > 1_000) break;
        sources.delete(source);
        if (refill(bucket, limits.connectsPerSource, nowMs) < limits.connectsPerSource.burst)
          sources.set(source, bucket);
      }
    },
  };
}
