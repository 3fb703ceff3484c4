import { randomUUID } from "node:crypto";
import { parseJson } from "@caas/contract/parse-json.ts";
import { fleetFilter } from "@caas/contract/topics.ts";
import type { Logger } from "pino";
import * as z from "zod";
import type { Metrics } from "../metrics.ts";
import { createChannels, createClusterSwitch } from "./cluster-switch.ts";
import { openRedisBus } from "./redis-bus.ts";
import { createSharedStore } from "./shared-store.ts";

// One broker in several processes that share a Redis: a car may connect to any of them, the control plane reaches it
// at any of them, and when a process dies the others publish the wills of its cars.

/** `url` as `redis://:password@host:6379/0`; `rediss://` for TLS. Brokers of one fleet share a prefix. */
export type ClusterOptions = { url: string; prefix: string };

/** aedes' heartbeat. When three are missed, the other processes publish its cars' wills. */
export const heartbeatIntervalMs = 3_000;
/** After a break of our own, silence means nothing until every process has had time for a heartbeat. */
const trustSilenceAfterMs = 4 * heartbeatIntervalMs;

export type Cluster = ReturnType<typeof openCluster>;

const keptListSchema = z.object({ parts: z.array(z.string()) });

export function openCluster(
  { url, prefix }: ClusterOptions,
  parts: {
    /** A list of revoked cars, or a part of one, came from another process. */
    onRevocations(payload: string): void;
    metrics: Metrics;
    log: Logger;
  },
) {
  const { metrics, log } = parts;
  const id = randomUUID();
  const channelOf = createChannels(prefix);
  const presences = channelOf(fleetFilter("presence")) ?? "";
  const listKey = `${prefix}:revocations`;
  /** The newest list in force here, as it came. */
  let list: readonly string[] = [];
  const bus = openRedisBus({
    url,
    onMessage(_channel, bytes) {
      metrics.clusterMessage("heard");
      clusterSwitch.take(_channel, bytes);
    },
    onUp() {
      metrics.clusterUp(true);
      void catchUp();
    },
    onDown: () => metrics.clusterUp(false),
    onLost: () => metrics.clusterMessage("lost"),
    random: Math.random,
    monotonicMs: () => performance.now(),
    log,
  });
  const clusterSwitch = createClusterSwitch({
    id,
    bus: {
      ...bus,
      say(channel, bytes) {
        metrics.clusterMessage("said");
        bus.say(channel, bytes);
      },
    },
    channelOf,
    onRevocations: parts.onRevocations,
    connectionOf: (clientId) => store.connectionOf(clientId),
    onTakenOver: () => metrics.connectionTakenOver("car"),
    onAsked: announce,
  });
  const store = createSharedStore({
    id,
    prefix,
    bus,
    trustSilenceAfterMs,
    onLost: () => metrics.clusterMessage("lost"),
  });

  function announce(): void {
    store.announce(({ topic, payload }) =>
      clusterSwitch.spread({ topic, qos: 1, payload: Buffer.from(payload) }),
    );
  }

  /** Makes up for what either side missed. The other processes may have reconnected, and announced, before us. */
  async function catchUp(): Promise<void> {
    announce();
    if (bus.wants(presences)) clusterSwitch.askForPresences();
    const kept = await bus.keep.get(listKey).catch(() => null);
    const known = keptListSchema.safeParse(parseJson(kept ?? ""));
    // Verified like one from a connection: an older list, or an unsigned one, has no effect.
    for (const part of known.success ? known.data.parts : []) parts.onRevocations(part);
    keepList();
  }

  function keepList(): void {
    if (list.length === 0) return;
    bus.keep.set(listKey, JSON.stringify({ parts: list })).catch(() => metrics.clusterMessage("lost"));
  }

  metrics.clusterUp(false);
  return {
    id,
    heartbeatIntervalMs,
    mq: clusterSwitch,
    persistence: store,
    start: () => bus.start(),
    isUp: () => bus.isUp(),
    /** A list came into force here. */
    revocationsInForce(newest: readonly string[]): void {
      list = newest;
      if (bus.isUp()) keepList();
    },
    async close(): Promise<void> {
      await store.leave();
      await bus.close();
    },
  };
}
