import type { Socket } from "node:net";
import { packetType } from "@caas/contract/mqtt/fixed-header.ts";
import type { FrameLimits } from "@caas/contract/mqtt/frame-check.ts";
import { encodeConnack } from "@caas/contract/mqtt/write-packets.ts";
import { Aedes, type AedesOptions, type Client } from "aedes";
import type { Logger } from "pino";
import { isAllowedSubscription, judgePublish, type Message } from "./access.ts";
import { createCleanSessionStore } from "./clean-session-store.ts";
import type { Cluster } from "./cluster/cluster.ts";
import type { Admission } from "./connection-door.ts";
import { passFailpoint } from "./failpoints.ts";
import { ConnectionFault, guardFrames, type ReadWatch } from "./first-packet-guard.ts";
import { createGather } from "./gathered-writes.ts";
import {
  type ConnectRequest,
  type ConnectRules,
  type ConnectVerdict,
  judgeConnect,
  type Peer,
} from "./identity.ts";
import { startHearing, stopHearing } from "./lane-hearers.ts";
import { type LaneParts, openLane } from "./message-lane.ts";
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

const none: readonly never[] = [];

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
  // With a store of its own, or several brokers, messages have to go through aedes.
  const lanes: LaneParts<Session> | undefined =
    rules.policy === "fleet" && persistence === undefined && cluster === undefined
      ? { hearers: createTopicSwitch(), judge: judgeInLane, mayHave, becameIdle: resume }
      : undefined;
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
    client.conn.end(encodeConnack(returnCode), () => done(new ConnectionFault("connect-refused"), false));
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
    if (verdict.status === "refused") return done(refuseMessage(client, packet, verdict.reason));
    passFailpoint("publish-taken-before-forwarded");
    metrics.messagePublished(verdict.kind);
    if (verdict.kind === "revocations") takeRevocations(packet.payload.toString());
    return done(null);
  };

  function refuseMessage(client: Client | null, { topic }: Message, reason: string): ConnectionFault {
    metrics.messageRefused(reason);
    log.warn({ reason, clientId: client?.id, topic }, "message refused");
    return new ConnectionFault("message-refused");
  }

  /** The same judgement for a message that goes past aedes. */
  function judgeInLane({ identity }: Session, client: Client, message: Message) {
    if (identity === undefined) return "aedes";
    const verdict = judgePublish(identity, message);
    if (verdict.status === "refused") {
      client.conn.destroy(refuseMessage(client, message, verdict.reason));
      return "refused";
    }
    // Retained ones, and what the broker itself takes.
    if (verdict.kind === "presence" || verdict.kind === "revocations") return "aedes";
    passFailpoint("publish-taken-before-forwarded");
    metrics.messagePublished(verdict.kind);
    return "passes";
  }

  const authorizeSubscribe: AedesOptions["authorizeSubscribe"] = (client, subscription, done) => {
    const session = sessions.get(client.conn);
    const identity = session?.identity;
    const refusal = judgeSubscription(session, subscription.topic);
    if (refusal === undefined) {
      if (identity?.kind === "car") session?.granted.set(subscription.topic, subscription.qos);
      if (session !== undefined && lanes !== undefined) startHearing(lanes, session, client, subscription);
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

  /** Whether one more message with QoS 1 may wait for this client's acknowledgement; else it is cut. */
  function mayHave(session: Session, client: Client): boolean {
    if (session.identity?.kind !== "car") return true;
    session.inflight += 1;
    if (session.inflight <= limits.maxInflight) return true;
    client.conn.destroy(new ConnectionFault("inflight"));
    return false;
  }

  const authorizeForward: AedesOptions["authorizeForward"] = (client, packet) => {
    const session = sessions.get(client.conn);
    if (session === undefined || packet.qos === 0 || session.granted.get(packet.topic) === 0) return packet;
    return mayHave(session, client) ? packet : null;
  };

  const aedes = await Aedes.createBroker({
    // With any limit here one stalled subscriber holds up the messages of all.
    concurrency: 0,
    drainTimeout: limits.drainTimeoutMs,
    // The door ends whoever is late and says so. A timer counts from the loop's time, which is a little older than
    // the door's, so aedes' own must not be the first: it would end them before they are late, for no known reason.
    connectTimeout: Math.min(2 * limits.connectTimeoutMs, longestTimerMs),
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
    const reason = explainCut(error);
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
  aedes.on("clientReady", (client) => {
    const session = sessions.get(client.conn);
    // Who says more before he is let in has messages under way in aedes, which the next must not overtake.
    if (session === undefined || lanes === undefined || session.packets > 1) return;
    session.lane = openLane(lanes, session, client);
  });
  aedes.on("unsubscribe", (topics, client) => {
    const session = sessions.get(client.conn);
    if (session === undefined || lanes === undefined) return;
    for (const topic of topics) stopHearing(lanes, session, topic);
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

  const watch: ReadWatch<Session> = {
    isPaused: ({ meter, lane }) => meter.isPaused() || lane?.isBusy() === true,
    onPacket(session, firstByte) {
      if (session.lane === undefined) session.packets += 1;
      if (firstByte >> 4 === packetType.puback && session.inflight > 0) session.inflight -= 1;
    },
    took({ identity, meter }, packets, bytes) {
      if (identity?.kind === "car") meter.took(packets, bytes);
    },
    handle: ({ lane }, chunk) => (lane === undefined ? chunk : lane.take(chunk)),
  };

  return {
    accept(socket, peer, admission) {
      const meter = traffic.meter(socket, () => resume(session));
      const session: Session = {
        peer,
        admission,
        identity: undefined,
        meter,
        granted: new Map(),
        inflight: 0,
        packets: 0,
        lane: undefined,
        hearing: none,
        intake: undefined,
      };
      sessions.add(socket, session);
      admission.endLate = () => socket.destroy(new ConnectionFault("connect-timeout"));
      session.intake = guardFrames(socket, limits, watch, session);
      if (lanes !== undefined)
        socket.once("close", () => {
          for (const { filter } of session.hearing) stopHearing(lanes, session, filter);
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

function resume({ intake }: Session): void {
  intake?.resume();
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

const longestTimerMs = 2 ** 31 - 1;

function explainCut(error: Error): string {
  if (error instanceof ConnectionFault) return error.reason;
  if ("code" in error) return "socket"; // reset, broken pipe: the operating system's own codes
  return "protocol";
}
