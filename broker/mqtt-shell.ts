import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Aedes, type AedesOptions, type Client } from "aedes";
import { generate } from "mqtt-packet";
import type { Logger } from "pino";
import { type Identity, isAllowedSubscription, judgePublish } from "./access.ts";
import { ConnectionFault, type FrameLimits, guardFrames } from "./first-packet-guard.ts";
import { type ConnectRequest, type ConnectRules, judgeConnect, type Peer } from "./identity.ts";
import type { Metrics } from "./metrics.ts";
import { type DrainLimits, neverWaitFor } from "./slow-subscriber.ts";

export type MqttLimits = FrameLimits & DrainLimits & { connectTimeoutMs: number };

export type MqttShell = {
  /** Serves MQTT on a socket whose peer may be heard; the socket belongs to the shell from here on. */
  accept(socket: Socket, peer: Peer): void;
  /** Closes every client; wills are published to those still there. */
  close(): Promise<void>;
};

type Session = { peer: Peer; openedAtMs: number; identity: Identity | undefined };

type Parts = {
  rules: ConnectRules;
  limits: MqttLimits;
  metrics: Metrics;
  log: Logger;
  /** An aedes persistence; without one everything is held in memory. */
  persistence: unknown;
};

/** aedes with our judgement at each of its gates. */
export async function openMqttShell({ rules, limits, metrics, log, persistence }: Parts): Promise<MqttShell> {
  // Weak, because aedes still asks about the will of a client whose socket is gone.
  const sessions = new WeakMap<Duplex, Session>();
  const identityOf = (client: Client | null) =>
    client === null ? undefined : sessions.get(client.conn)?.identity;

  const preConnect: AedesOptions["preConnect"] = (client, packet, done) => {
    const session = sessions.get(client.conn);
    if (session === undefined) return done(new ConnectionFault("unknown-socket"), false);
    const verdict = judgeConnect(readRequest(packet), session.peer, rules);
    if (verdict.status === "accepted") {
      session.identity = verdict.identity;
      if (verdict.identity.kind === "car") neverWaitFor(client, limits);
      return done(null, true);
    }
    metrics.connectRefused(session.peer.transport, verdict.reason);
    log.warn({ reason: verdict.reason, clientId: packet.clientId }, "connect refused");
    // Answered here, before aedes knows the client id: a refused stranger touches nothing of that id's owner.
    const { returnCode } = verdict;
    client.conn.end(generate({ cmd: "connack", sessionPresent: false, returnCode }), () =>
      done(new ConnectionFault("connect-refused"), false),
    );
  };

  const authorizePublish: AedesOptions["authorizePublish"] = (client, packet, done) => {
    const identity = identityOf(client);
    if (identity === undefined) return done(new ConnectionFault("message-refused"));
    const verdict = judgePublish(identity, packet);
    if (verdict.status === "allowed") {
      metrics.messagePublished(verdict.kind);
      return done(null);
    }
    metrics.messageRefused(verdict.reason);
    log.warn({ reason: verdict.reason, clientId: client?.id, topic: packet.topic }, "message refused");
    done(new ConnectionFault("message-refused"));
  };

  const authorizeSubscribe: AedesOptions["authorizeSubscribe"] = (client, subscription, done) => {
    const identity = identityOf(client);
    if (identity !== undefined && isAllowedSubscription(identity, subscription.topic))
      return done(null, subscription);
    metrics.subscriptionRefused(identity?.kind ?? "anyone");
    log.warn({ clientId: client.id, filter: subscription.topic }, "subscription refused");
    done(null, null); // answered with 0x80 [MQTT-3.9.3-2]
  };

  const aedes = await Aedes.createBroker({
    // With any limit here one stalled subscriber holds up the messages of all.
    concurrency: 0,
    drainTimeout: limits.drainTimeoutMs,
    connectTimeout: limits.connectTimeoutMs,
    persistence,
    preConnect,
    authorizePublish,
    authorizeSubscribe,
  });

  const countCut = (client: Client, error: Error) => {
    const session = sessions.get(client.conn);
    const isLate =
      session !== undefined &&
      session.identity === undefined &&
      performance.now() - session.openedAtMs >= limits.connectTimeoutMs;
    const reason = explainCut(error, isLate);
    metrics.connectionCut(reason);
    log.debug({ reason, clientId: client.id, err: error }, "connection cut");
  };
  aedes.on("clientError", countCut);
  aedes.on("connectionError", countCut);
  // A persistence that fails emits "error"; without a listener that would end the process.
  aedes.addListener("error", (error: Error) => {
    metrics.brokerErred();
    log.error({ err: error }, "broker error");
  });
  aedes.on("client", (client) => {
    const session = sessions.get(client.conn);
    if (session?.identity === undefined) return;
    const { transport } = session.peer;
    const { kind } = session.identity;
    metrics.clientConnected(transport, kind);
    // The socket's end, because aedes does not announce every disconnect when a client is taken over.
    if (client.conn.closed) metrics.clientDisconnected(transport, kind);
    else client.conn.once("close", () => metrics.clientDisconnected(transport, kind));
  });

  return {
    accept(socket, peer) {
      sessions.set(socket, { peer, openedAtMs: performance.now(), identity: undefined });
      guardFrames(socket, limits);
      aedes.handle(socket);
    },
    close: () => new Promise((resolve) => aedes.close(resolve)),
  };
}

function readRequest(packet: Parameters<NonNullable<AedesOptions["preConnect"]>>[1]): ConnectRequest {
  const { will } = packet;
  return {
    protocolVersion: packet.protocolVersion ?? 0,
    clientId: packet.clientId,
    clean: packet.clean ?? false,
    keepAliveS: packet.keepalive ?? 0,
    username: packet.username,
    password: packet.password,
    will: will && { topic: will.topic, qos: will.qos ?? 0, retain: will.retain ?? false },
  };
}

function explainCut(error: Error, isLate: boolean): string {
  if (error instanceof ConnectionFault) return error.reason;
  if ("code" in error) return "socket"; // reset, broken pipe: the operating system's own codes
  return isLate ? "connect-timeout" : "protocol";
}
