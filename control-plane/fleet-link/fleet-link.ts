import type { Presence } from "@caas/contract/presence.ts";
import type { Report } from "@caas/contract/report.ts";
import { fleetFilter, qosOf } from "@caas/contract/topics.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";
import type { Capability } from "../http/capability.ts";
import type { Context } from "../lifecycle/context.ts";
import type { Transaction } from "../store/database.ts";
import { type LinkRow, lockLinks } from "../store/lock-links.ts";
import { createNotifyListener } from "../store/notify-listener.ts";
import { createDispatcher, type DueManifest } from "./dispatcher.ts";
import { createDisplays, type Displays } from "./displays.ts";
import { createIngester, type FromCar } from "./ingester.ts";
import type { KeyRing } from "./key-ring.ts";
import { createKeySpreader } from "./key-spreader.ts";
import { createMqttLink, type LinkTls } from "./mqtt-link.ts";
import { createRevocationPublisher } from "./revocations.ts";

/** The manifest engine, as far as the link uses it. */
export type Engine = {
  takeDue(limit: number): Promise<DueManifest[]>;
  ingest(
    tx: Transaction,
    received: readonly { vin: Vin; report: Report; token: string; proofKey: string }[],
  ): Promise<unknown>;
  recordPresences(tx: Transaction, said: readonly { vin: Vin; presence: Presence }[]): Promise<void>;
  forgetPresences(): Promise<void>;
};

export type FleetLinkOptions = {
  engine: Engine;
  keyRing: KeyRing;
  databaseUrl: string;
  /** Notified when a manifest is due. */
  dispatchChannel: string;
  /** Notified when a car or a certificate was revoked. */
  revocationChannel: string;
  broker: {
    url: string;
    clientId: string;
    username: string | null;
    password: string | null;
    tls: LinkTls | null;
  };
  metrics?: {
    manifestsSent(count: number): void;
    messagesTaken(count: number): void;
    messageRefused(reason: string): void;
  };
};

export type FleetLink = Capability &
  Pick<Displays, "onDisplayRequested" | "onCarConnected"> & {
    start(): Promise<void>;
    stop(): Promise<void>;
    isConnected(): boolean;
    connected(): Promise<void>;
  };

/** The MQTT side of the control plane: sends due messages, takes in messages from cars. */
export function createFleetLink(context: Context, options: FleetLinkOptions): FleetLink {
  const { engine, keyRing, metrics } = options;
  const logger = context.logger.child({ part: "fleet-link" });

  const ingester = createIngester({
    db: context.db,
    handle,
    logger,
    onRefused: (reason) => metrics?.messageRefused(reason),
    onTaken: (count) => metrics?.messagesTaken(count),
  });
  const link = createMqttLink({
    ...options.broker,
    subscriptions: (["presence", "report", "display-ack"] as const).map((kind) => ({
      topic: fleetFilter(kind),
      qos: qosOf[kind],
    })),
    // The subscription brings the retained presence of every car that is online.
    onConnecting: engine.forgetPresences,
    // A restarted broker may have no revocation list.
    onConnected: () => revocations.publish(),
    onMessage: (message) => ingester.take(message),
    random: context.random,
    logger,
  });
  const dispatcher = createDispatcher({
    takeDue: engine.takeDue,
    link,
    keyRing,
    clock: context.clock,
    onSent: (count) => metrics?.manifestsSent(count),
    logger,
  });
  const listener = createNotifyListener({
    url: options.databaseUrl,
    channel: options.dispatchChannel,
    onRing: () => dispatcher.wake(),
    logger,
  });
  const revocations = createRevocationPublisher(context, { keyRing, link });
  const revocationListener = createNotifyListener({
    url: options.databaseUrl,
    channel: options.revocationChannel,
    onRing: () => revocations.publish(),
    logger,
  });
  const keySpreader = createKeySpreader({
    db: context.db,
    keyRing,
    link,
    // The broker must learn of a retired key too, so that it no longer accepts lists signed by it.
    onNewKeys: () => revocations.publish(),
    logger,
  });
  const displays = createDisplays(context, { link, keyRing });

  async function handle(tx: Transaction, messages: readonly FromCar[]): Promise<void> {
    // Presences precede reports, so their locks would cross those of a roll-out: all locks are taken first, in one order.
    const links = messages.some(({ kind }) => kind === "presence" || kind === "stranger")
      ? await lockLinks(tx, { vins: messages.map(({ vin }) => vin) })
      : new Map<string, LinkRow>();
    const strangers = new Set(messages.flatMap(({ kind, vin }) => (kind === "stranger" ? [vin] : [])));
    await context.publish(
      tx,
      "carDoubted",
      [...links.values()].flatMap(({ vehicle_id: vehicleId, vin }) =>
        strangers.has(parseVin(vin)) ? [{ vehicleId, doubt: "otherProofKey" as const }] : [],
      ),
    );
    await engine.recordPresences(
      tx,
      messages.filter((message) => message.kind === "presence"),
    );
    await engine.ingest(
      tx,
      messages.filter((message) => message.kind === "report"),
    );
    for (const message of messages) {
      if (message.kind === "report") keySpreader.heard(message.vin, message.report.keySetVersion);
      if (message.kind === "displayAck")
        await displays.acknowledge(tx, message.displayId, message.vin, message.result);
    }
  }

  return {
    jobs: displays.jobs,
    onDisplayRequested: displays.onDisplayRequested,
    onCarConnected: displays.onCarConnected,
    isConnected: () => link.isConnected(),
    connected: () => link.connected(),
    async start() {
      link.start();
      dispatcher.start();
      await listener.start();
      await revocationListener.start();
      keySpreader.start();
    },
    async stop() {
      await keySpreader.stop();
      await revocationListener.stop();
      await revocations.stop();
      await listener.stop();
      await dispatcher.stop();
      await link.stop();
      await ingester.stop();
    },
  };
}
