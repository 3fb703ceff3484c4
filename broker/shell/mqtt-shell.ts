import type { Socket } from "node:net";
import { packetType } from "@caas/contract/mqtt/fixed-header.ts";
import type { FrameLimits } from "@caas/contract/mqtt/frame-check.ts";
import type { Logger } from "pino";
import type { ConnectRules, Peer } from "../access/identity.ts";
import type { Revocations } from "../access/revocations.ts";
import { createCleanSessionStore } from "../aedes/clean-session-store.ts";
import { createGather } from "../aedes/gathered-writes.ts";
import { type Gates, openAedes } from "../aedes/open-aedes.ts";
import { createEmitter } from "../aedes/packets.ts";
import type { Cluster } from "../cluster/cluster.ts";
import { passFailpoint } from "../failpoints.ts";
import { startHearing, stopHearing } from "../lane/lane-hearers.ts";
import { Lane, type LaneParts } from "../lane/message-lane.ts";
import { createTopicSwitch } from "../lane/topic-switch.ts";
import type { Admission } from "../limits/connection-door.ts";
import { ConnectionFault } from "../limits/connection-fault.ts";
import { guardFrames, type ReadWatch } from "../limits/first-packet-guard.ts";
import type { DrainLimits } from "../limits/slow-subscriber.ts";
import type { Traffic } from "../limits/traffic-meter.ts";
import type { Metrics } from "../metrics.ts";
import { judgeExpiry, judgeRevocation, takeConnect } from "./connect-gate.ts";
import { takeInLane, takeMessage } from "./message-gate.ts";
import { createSessions, Session, type Sessions } from "./sessions.ts";
import { mayForward, mayHave, type SubscriptionLimits, takeSubscription } from "./subscription-gate.ts";

export type MqttLimits = FrameLimits & DrainLimits & SubscriptionLimits & { connectTimeoutMs: number };

export type MqttShell = {
  /** Serves MQTT on an admitted socket, which belongs to the shell from here on. */
  accept(socket: Socket, peer: Peer, admission: Admission): void;
  /** Cuts cars whose certificate has ended at `now`, which is business time. */
  cutExpired(now: Date): void;
  /** Takes a list of revoked cars, or a part of one, that no client of this process published. */
  takeRevocations(payload: string): void;
  /** Closes every client; wills are published to clients still connected. */
  close(): Promise<void>;
};

type Parts = {
  rules: ConnectRules;
  limits: MqttLimits;
  traffic: Traffic;
  revocations: Revocations;
  metrics: Metrics;
  log: Logger;
  /** An aedes persistence; without one everything is held in memory. */
  persistence: unknown;
  /** Set where this process is one of several. */
  cluster: Pick<Cluster, "id" | "mq" | "persistence" | "heartbeatIntervalMs"> | undefined;
};

/** Shared by the gates. */
type Shared = Parts & { sessions: Sessions; lanes: LaneParts<Session> | undefined };

/** aedes with our judgement at each of its gates. */
export async function openMqttShell(parts: Parts): Promise<MqttShell> {
  const { limits, traffic } = parts;
  const sessions = createSessions();
  const shared: Shared = { ...parts, sessions, lanes: openLanes(parts) };
  const { lanes } = shared;
  const gather = createGather(setImmediate);
  const aedes = await openAedes(aedesParts(parts), createGates(shared));
  return {
    accept(socket, peer, admission) {
      const session = new Session(peer, admission, (onResume) => traffic.meter(socket, onResume));
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
    cutExpired: (now) => void sessions.cut((session) => judgeExpiry(session, now)),
    takeRevocations: (payload) => takeRevocations(shared, payload),
    close: () => aedes.close(),
  };
}

function openLanes({ rules, limits, metrics, log, persistence, cluster }: Parts): Shared["lanes"] {
  // With another store, or several processes, messages must go through aedes.
  if (rules.policy !== "fleet" || persistence !== undefined || cluster !== undefined) return undefined;
  return {
    hearers: createTopicSwitch(),
    judge: (session, message) => takeInLane({ metrics, log }, session, message),
    mayHave: (session) => mayHave(session, limits),
    becameIdle: ({ intake }) => intake?.resume(),
  };
}

function aedesParts({ rules, limits, persistence, cluster }: Parts) {
  return {
    drainTimeout: limits.drainTimeoutMs,
    // The door ends a late connection and counts it. A timer counts from the loop's time, which is a little older than
    // the door's, so aedes' own must not fire first: it would end connections before they are late, for no known reason.
    connectTimeout: Math.min(2 * limits.connectTimeoutMs, longestTimerMs),
    // Under the open policy clients may keep sessions and subscribe to anything, which aedes' own parts support.
    ...(rules.policy === "fleet"
      ? { mq: createEmitter(createTopicSwitch()), persistence: createCleanSessionStore() }
      : {}),
    ...(cluster === undefined
      ? {}
      : {
          id: cluster.id,
          mq: createEmitter(cluster.mq),
          persistence: cluster.persistence,
          heartbeatInterval: cluster.heartbeatIntervalMs,
        }),
    ...(persistence === undefined ? {} : { persistence }),
  };
}

const longestTimerMs = 2 ** 31 - 1;

function createGates(shared: Shared): Gates<Session> {
  const { sessions, limits, metrics, log, lanes, cluster } = shared;
  return {
    find: (conn) => sessions.get(conn),
    connect: (session, client, request) => takeConnect(shared, session, client, request),
    publish(session, clientId, message) {
      const verdict = takeMessage(shared, session, clientId, message);
      if ("fault" in verdict) return verdict.fault;
      if (verdict.kind === "revocations") takeRevocations(shared, message.payload.toString());
      return undefined;
    },
    // It was judged when the client connected to the process that has died.
    passesLastWords: cluster !== undefined,
    subscribe(session, subscription) {
      const isGranted = takeSubscription(shared, session, subscription);
      const client = session.known?.client;
      if (isGranted && lanes !== undefined && client !== undefined)
        startHearing(lanes, session, client, subscription);
      return isGranted;
    },
    unsubscribed(session, topics) {
      if (lanes !== undefined) for (const topic of topics) stopHearing(lanes, session, topic);
    },
    forward: (session, message) => mayForward(session, message, limits),
    connected({ peer: { transport }, known }, conn) {
      if (known === undefined) return;
      passFailpoint("connected-before-subscribed");
      const { kind } = known.identity;
      metrics.clientConnected(transport, kind);
      // Counted at the socket's end, because aedes does not announce every disconnect when a client is taken over.
      if (conn.closed) metrics.clientDisconnected(transport, kind);
      else conn.once("close", () => metrics.clientDisconnected(transport, kind));
    },
    ready(session) {
      const client = session.known?.client;
      // A client that sends more before its CONNACK has messages in aedes, which the next must not overtake.
      if (client === undefined || lanes === undefined || session.packets > 1) return;
      session.lane = new Lane(lanes, session, client);
    },
    wasCut(clientId, error) {
      const reason = explainCut(error);
      metrics.connectionCut(reason);
      log.debug({ reason, clientId, err: error }, "connection cut");
    },
    erred(error) {
      metrics.brokerErred();
      log.error({ err: error }, "broker error");
    },
  };
}

function takeRevocations({ revocations, sessions, log }: Shared, payload: string): void {
  // A refused list does not end a connection: a replica may be a moment behind another.
  if (!revocations.take(payload)) return;
  const count = sessions.cut((session) => judgeRevocation(session, revocations));
  if (count > 0) log.warn({ count }, "revoked cars cut");
}

const watch: ReadWatch<Session> = {
  isPaused: ({ meter, lane }) => meter.isPaused() || lane?.isBusy() === true,
  onPacket(session, firstByte) {
    if (session.lane === undefined) session.packets += 1;
    if (firstByte >> 4 === packetType.puback && session.inflight > 0) session.inflight -= 1;
  },
  took({ known, meter }, packets, bytes) {
    if (known?.identity.kind === "car") meter.took(packets, bytes);
  },
  handle: ({ lane }, chunk) => (lane === undefined ? chunk : lane.take(chunk)),
};

function explainCut(error: Error): string {
  if (error instanceof ConnectionFault) return error.reason;
  if ("code" in error) return "socket"; // reset, broken pipe: the operating system's own codes
  return "protocol";
}
