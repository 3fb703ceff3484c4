import type { Socket } from "node:net";
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Identity, PublishedKind } from "./access/access.ts";

export type Transport = "tcp" | "tls";

/**
 * The broker's metrics. No label holds a VIN, a client id or a topic.
 * Each broker has its own registry, because several may run in one process.
 */
export type Metrics = {
  registry: Registry;
  clientConnected(transport: Transport, identity: Identity["kind"]): void;
  clientDisconnected(transport: Transport, identity: Identity["kind"]): void;
  connectRefused(transport: Transport, reason: string): void;
  connectionCut(reason: string): void;
  /** A connection ended because another client came with its id, here or at another process. */
  connectionTakenOver(identity: Identity["kind"]): void;
  messagePublished(kind: PublishedKind): void;
  messageRefused(reason: string): void;
  subscriptionRefused(identity: Identity["kind"], reason: "not-allowed" | "too-many"): void;
  carPaused(limit: string): void;
  revocationsReceived(
    result: "accepted" | "incomplete" | "older" | "forged" | "malformed" | "unverifiable",
  ): void;
  revocationsInForce(version: number, entries: number): void;
  brokerErred(): void;
  /** With several processes: whether Redis is up, and the messages that crossed it. */
  clusterUp(isUp: boolean): void;
  clusterMessage(what: "said" | "heard" | "lost"): void;
  socketOpened(socket: Socket): void;
  socketClosed(socket: Socket): void;
};

const fleetTroubles = ["connect-rate", "too-many-connections", "certificate-dates", "revoked"] as const;

export function createMetrics(startedAtMs: number, monotonicMs: () => number): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const counter = <Label extends string = never>(name: string, labelNames: Label[], help: string) =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <Label extends string = never>(name: string, labelNames: Label[], help: string) =>
    new Gauge({ name, help, labelNames, registers });
  // biome-ignore format: one row a line
  const table = {
    connected:            gauge("caas_broker_connected_clients",             ["transport", "identity"], "Clients connected now"),
    connects:             counter("caas_broker_connects_total",              ["transport", "identity"], "Connects accepted"),
    refusals:             counter("caas_broker_connects_refused_total",      ["transport", "reason"],   "Connects refused, by reason"),
    cuts:                 counter("caas_broker_connections_cut_total",       ["reason"],                "Connections the broker closed after a fault, by reason"),
    takeOvers:            counter("caas_broker_takeovers_total",             ["identity"],              "Connections that ended because another one with the same client id came: a car back after a lost link, or two cars with one identity"),
    messageRefusals:      counter("caas_broker_messages_refused_total",      ["reason"],                "Messages refused, by reason; the sender is disconnected"),
    subscriptionRefusals: counter("caas_broker_subscriptions_refused_total", ["identity", "reason"],    "Subscriptions answered with 0x80"),
    pauses:               counter("caas_broker_car_pauses_total",            ["limit"],                 "Times a car that sent too much was read no further for a while, by limit"),
    revocationLists:      counter("caas_broker_revocation_lists_total",      ["result"],                "Parts of revocation lists received, by result"),
    revocationVersion:    gauge("caas_broker_revocation_list_version",       [],                        "Version of the revocation list in force, 0 without one"),
    revocationEntries:    gauge("caas_broker_revocation_list_entries",       [],                        "Cars and certificates revoked by the list in force"),
    errors:               counter("caas_broker_errors_total",                [],                        "Errors inside the broker (persistence, listeners) that it survived"),
  };
  // Present from the start for the reasons of a fleet in trouble: then the first one is an increase, and boards show 0.
  for (const transport of ["tcp", "tls"] satisfies Transport[])
    for (const reason of fleetTroubles) table.refusals.inc({ transport, reason }, 0);
  for (const identity of ["car", "controlPlane"] satisfies Identity["kind"][])
    table.takeOvers.inc({ identity }, 0);
  new Gauge({
    name: "caas_broker_uptime_seconds",
    help: "Seconds since the broker was started",
    registers,
    collect() {
      this.set((monotonicMs() - startedAtMs) / 1000);
    },
  });

  // The hot path adds to plain numbers; they become metrics when they are collected.
  const published = new Map<PublishedKind, number>();
  new Counter({
    name: "caas_broker_messages_published_total",
    help: "Messages accepted, by kind of topic",
    labelNames: ["kind"],
    registers,
    collect() {
      this.reset();
      for (const [kind, count] of published) this.inc({ kind }, count);
    },
  });

  const redisUp = new Gauge({
    name: "caas_broker_redis_up",
    help: "Whether Redis is there, where several processes share it: 1 or 0",
    // A label, so that a single process has no value here rather than a 0 that would raise an alert.
    labelNames: ["of"],
    registers,
  });
  const crossed = new Map<"said" | "heard" | "lost", number>([
    ["said", 0],
    ["heard", 0],
    ["lost", 0],
  ]);
  new Counter({
    name: "caas_broker_redis_messages_total",
    help: "Messages between the processes of the broker: said to the others, heard from them, or lost while Redis was away",
    labelNames: ["what"],
    registers,
    collect() {
      this.reset();
      for (const [what, count] of crossed) this.inc({ what }, count);
    },
  });

  const open = new Set<Socket>();
  const closed = { received: 0, sent: 0 };
  new Counter({
    name: "caas_broker_bytes_total",
    help: "Bytes received and sent on the listeners, without TCP and TLS overhead",
    labelNames: ["direction"],
    registers,
    collect() {
      let { received, sent } = closed;
      for (const socket of open) {
        received += socket.bytesRead;
        sent += socket.bytesWritten;
      }
      this.reset();
      this.inc({ direction: "received" }, received);
      this.inc({ direction: "sent" }, sent);
    },
  });

  return {
    registry,
    clientConnected(transport, identity) {
      table.connected.inc({ transport, identity });
      table.connects.inc({ transport, identity });
    },
    clientDisconnected: (transport, identity) => table.connected.dec({ transport, identity }),
    connectRefused: (transport, reason) => table.refusals.inc({ transport, reason }),
    connectionCut: (reason) => table.cuts.inc({ reason }),
    connectionTakenOver: (identity) => table.takeOvers.inc({ identity }),
    messagePublished: (kind) => void published.set(kind, (published.get(kind) ?? 0) + 1),
    messageRefused: (reason) => table.messageRefusals.inc({ reason }),
    subscriptionRefused: (identity, reason) => table.subscriptionRefusals.inc({ identity, reason }),
    carPaused: (limit) => table.pauses.inc({ limit }),
    revocationsReceived: (result) => table.revocationLists.inc({ result }),
    revocationsInForce(version, entries) {
      table.revocationVersion.set(version);
      table.revocationEntries.set(entries);
    },
    brokerErred: () => table.errors.inc(),
    clusterUp: (isUp) => redisUp.set({ of: "cluster" }, isUp ? 1 : 0),
    clusterMessage: (what) => void crossed.set(what, (crossed.get(what) ?? 0) + 1),
    socketOpened: (socket) => void open.add(socket),
    socketClosed(socket) {
      open.delete(socket);
      closed.received += socket.bytesRead;
      closed.sent += socket.bytesWritten;
    },
  };
}
