import type { Socket } from "node:net";
import { Aedes, type AedesOptions, type Client } from "aedes";
import { generate } from "mqtt-packet";
import type { Logger } from "pino";
import { isAllowedSubscription, judgePublish } from "./access.ts";
import { createCleanSessionStore } from "./clean-session-store.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { Admission } from "./connection-door.ts";
import { passFailpoint } from "./failpoints.ts";
import { ConnectionFault, type FrameLimits, guardFrames } from "./first-packet-guard.ts";
import { createGather } from "./gathered-writes.ts";
import {
  type ConnectRequest,
  type ConnectRules,
  type ConnectVerdict,
  judgeConnect,
  type Peer,
} from "./identity.ts";
import type { Metrics } from "./metrics.ts";
import type { Revocations } from "./revocations.ts";
import { createSessions, type Session } from "./sessions.ts";
import { type DrainLimits, neverWaitFor } from "./slow-subscriber.ts";
import { createTopicSwitch } from "./topic-switch.ts";
import type { Traffic } from "./traffic-meter.ts";

export type MqttLimits = FrameLimits &
  DrainLimits & {
    connectTimeoutMs: number;
    /** Topics one car may have subscribed to at once. */
    maxSubscriptions: number;
    /** QoS 1 messages a car has not acknowledged. */
    maxInflight: number;
  };

export type MqttShell = {
  /** Serves MQTT on a socket whose peer may be heard; the socket belongs to the shell from here on. */
  accept(socket: Socket, peer: Peer, admission: Admission): void;
  /** Cuts cars whose certificate has ended at `now`, which is business time. */
  cutExpired(now: Date): void;
  /** Takes a list of revoked cars, or a part of one, that did not come over a connection of a client. */
  takeRevocations(payload: string): void;
  /** Closes every client; wills are published to those still there. */
  close(): Promise<void>;
};

const pubackType = 4; // MQTT 3.1.1, table 2.1

type Parts = {
  rules: ConnectRules;
  limits: MqttLimits;
  traffic: Traffic;
  revocations: Revocations;
  metrics: Metrics;
  log: Logger;
  /** An aedes persistence; without one everything is held in memory. */
  persistence: unknown;
  /** What makes this process one of several. */
  cluster: Pick<Cluster, "id" | "mq" | "persistence" | "heartbeatIntervalMs"> | undefined;
};

/** aedes with our judgement at each of its gates. */
export async function openMqttShell(parts: Parts): Promise<MqttShell> {
  const { rules, limits, traffic, revocations, metrics, log, persistence, cluster } = parts;
  const sessions = createSessions();
  const gather = createGather(setImmediate);
  const identityOf = (client: Client | null) =>
    client === null ? undefined : sessions.get(client.conn)?.identity;

  const preConnect: AedesOptions["preConnect"] = (client, packet, done) => {
    const session = sessions.get(client.conn);
    if (session === undefined) return done(new ConnectionFault("unknown-socket"), false);
    const verdict = judge(readRequest(packet), session);
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

  function judge(request: ConnectRequest, { peer, admission }: Session): ConnectVerdict {
    const verdict = judgeConnect(request, peer, rules);
    if (verdict.status === "refused") return verdict;
    const { identity } = verdict;
    if (identity.kind === "car" && revocations.isRevoked(identity.vin, serialNumberOf(peer)))
      return { status: "refused", reason: "revoked", returnCode: 5 };
    return admission.authenticated(identity.kind) === "full"
      ? { status: "refused", reason: "too-many-connections", returnCode: 3 }
      : verdict;
  }

  function takeRevocations(payload: string): void {
    // A refused list does not end a connection: a replica may be a moment behind another.
    if (revocations.take(payload)) enforceRevocations();
  }

  function enforceRevocations(): void {
    const count = sessions.cut(({ identity, peer }) =>
      identity?.kind === "car" && revocations.isRevoked(identity.vin, serialNumberOf(peer))
        ? "revoked"
        : undefined,
    );
    if (count > 0) log.warn({ count }, "revoked cars cut");
  }

  const authorizePublish: AedesOptions["authorizePublish"] = (client, packet, done) => {
    // The last word of a car whose process has died: judged when it connected there.
    if (client === null && cluster !== undefined) return done(null);
    const identity = identityOf(client);
    if (identity === undefined) return done(new ConnectionFault("message-refused"));
    const verdict = judgePublish(identity, packet);
    if (verdict.status === "allowed") {
      passFailpoint("publish-taken-before-forwarded");
      metrics.messagePublished(verdict.kind);
      if (verdict.kind === "revocations") takeRevocations(packet.payload.toString());
      return done(null);
    }
    metrics.messageRefused(verdict.reason);
    log.warn({ reason: verdict.reason, clientId: client?.id, topic: packet.topic }, "message refused");
    done(new ConnectionFault("message-refused"));
  };

  const authorizeSubscribe: AedesOptions["authorizeSubscribe"] = (client, subscription, done) => {
    const session = sessions.get(client.conn);
    const identity = session?.identity;
    const refusal = judgeSubscription(session, subscription.topic);
    if (refusal === undefined) {
      if (identity?.kind === "car") session?.granted.set(subscription.topic, subscription.qos);
      return done(null, subscription);
    }
    metrics.subscriptionRefused(identity?.kind ?? "anyone", refusal);
    log.warn({ clientId: client.id, filter: subscription.topic, reason: refusal }, "subscription refused");
    done(null, null); // answered with 0x80 [MQTT-3.9.3-2]
  };

  function judgeSubscription(
    session: Session | undefined,
    topic: string,
  ): "not-allowed" | "too-many" | undefined {
    if (session?.identity === undefined || !isAllowedSubscription(session.identity, topic))
      return "not-allowed";
    const { granted } = session;
    return granted.has(topic) || granted.size < limits.maxSubscriptions ? undefined : "too-many";
  }

  const authorizeForward: AedesOptions["authorizeForward"] = (client, packet) => {
    const session = sessions.get(client.conn);
    if (session?.identity?.kind !== "car" || packet.qos === 0 || session.granted.get(packet.topic) === 0)
      return packet;
    session.inflight += 1;
    if (session.inflight <= limits.maxInflight) return packet;
    client.conn.destroy(new ConnectionFault("inflight"));
    return null;
  };

  const aedes = await Aedes.createBroker({
    // With any limit here one stalled subscriber holds up the messages of all.
    concurrency: 0,
    drainTimeout: limits.drainTimeoutMs,
    connectTimeout: limits.connectTimeoutMs,
    // Under the open policy anybody may keep sessions and subscribe to anything: aedes' own parts do that.
    ...(rules.policy === "fleet" ? { mq: createTopicSwitch(), persistence: createCleanSessionStore() } : {}),
    ...(cluster === undefined
      ? {}
      : {
          id: cluster.id,
          mq: cluster.mq,
          persistence: cluster.persistence,
          heartbeatInterval: cluster.heartbeatIntervalMs,
        }),
    ...(persistence === undefined ? {} : { persistence }),
    preConnect,
    authorizePublish,
    authorizeSubscribe,
    authorizeForward,
  });

  const countCut = (client: Client, error: Error) => {
    const session = sessions.get(client.conn);
    const isLate = session !== undefined && session.identity === undefined && session.admission.isLate();
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
    passFailpoint("connected-before-subscribed");
    const { transport } = session.peer;
    const { kind } = session.identity;
    metrics.clientConnected(transport, kind);
    // The socket's end, because aedes does not announce every disconnect when a client is taken over.
    if (client.conn.closed) metrics.clientDisconnected(transport, kind);
    else client.conn.once("close", () => metrics.clientDisconnected(transport, kind));
  });

  return {
    accept(socket, peer, admission) {
      const meter = traffic.meter(socket);
      const session: Session = {
        peer,
        admission,
        identity: undefined,
        meter,
        granted: new Map(),
        inflight: 0,
      };
      sessions.add(socket, session);
      admission.endLate = () => socket.destroy(new ConnectionFault("connect-timeout"));
      guardFrames(socket, limits, {
        isPaused: meter.isPaused,
        onPacket(firstByte) {
          if (firstByte >> 4 === pubackType && session.inflight > 0) session.inflight -= 1;
        },
        took(packets, bytes) {
          if (session.identity?.kind === "car") meter.took(packets, bytes);
        },
      });
      gather(socket);
      aedes.handle(socket);
    },
    cutExpired(now) {
      sessions.cut(({ identity, peer }) =>
        identity?.kind === "car" && peer.transport === "tls" && peer.expiresAt < now
          ? "certificate-expired"
          : undefined,
      );
    },
    takeRevocations,
    close: () => new Promise((resolve) => aedes.close(resolve)),
  };
}

function serialNumberOf(peer: Peer): string | undefined {
  return peer.transport === "tls" ? peer.serialNumber : undefined;
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
