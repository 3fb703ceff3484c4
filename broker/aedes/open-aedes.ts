import type { Duplex } from "node:stream";
import { encodeConnack } from "@caas/contract/mqtt/write-packets.ts";
import { Aedes, type AedesOptions } from "aedes";
import type { ConnectRequest, ConnectVerdict } from "../access/identity.ts";
import { ConnectionFault } from "../limits/connection-fault.ts";
import { ServedClient } from "./served-client.ts";

type Subscription = { topic: string; qos: 0 | 1 | 2 };
/** A message with its content, as a gate judges it. */
type GivenMessage = Subscription & { retain: boolean; payload: string | Buffer };

/** Called by aedes; `S` is the session of a connection. */
export type Gates<S> = {
  find(conn: Duplex): S | undefined;
  connect(session: S, client: ServedClient, request: ConnectRequest): ConnectVerdict;
  /** The fault for which the connection ends; `undefined` lets the message pass. */
  publish(session: S, clientId: string, message: GivenMessage): ConnectionFault | undefined;
  /** Whether a message of no client here passes: the will of one whose process has died. */
  passesLastWords: boolean;
  subscribe(session: S, subscription: Subscription): boolean;
  unsubscribed(session: S, topics: readonly string[]): void;
  /** Whether the client receives a message that it subscribed to. */
  forward(session: S, message: Subscription): boolean;
  connected(session: S, conn: Duplex): void;
  /** Everything it has sent so far is processed. */
  ready(session: S): void;
  wasCut(clientId: string, error: Error): void;
  erred(error: Error): void;
};

/** Options of aedes that are not gates. */
type Parts = Pick<
  AedesOptions,
  "id" | "mq" | "persistence" | "heartbeatInterval" | "connectTimeout" | "drainTimeout"
>;

/** The broker inside ours: it is given connections and calls its gates. */
export type OpenAedes = { handle(conn: Duplex): void; close(): Promise<void> };

export async function openAedes<S>(parts: Parts, gates: Gates<S>): Promise<OpenAedes> {
  const aedes = await Aedes.createBroker({
    ...parts,
    // With any limit here one stalled subscriber holds up the messages of all.
    concurrency: 0,
    ...judgements(gates),
  });
  tell(aedes, gates);
  return {
    handle: (conn) => void aedes.handle(conn),
    close: () => new Promise((resolve) => aedes.close(resolve)),
  };
}

function judgements<S>(gates: Gates<S>) {
  return {
    preConnect(client, packet, done) {
      const session = gates.find(client.conn);
      if (session === undefined) return done(new ConnectionFault("unknown-socket"), false);
      const verdict = gates.connect(session, new ServedClient(client), readRequest(packet));
      if (verdict.status === "accepted") return done(null, true);
      // Answered here, before aedes knows the client id: a refused client has no effect on the id's owner.
      client.conn.end(encodeConnack(verdict.returnCode), () =>
        done(new ConnectionFault("connect-refused"), false),
      );
    },
    authorizePublish(client, packet, done) {
      if (client === null && gates.passesLastWords) return done(null);
      const session = client === null ? undefined : gates.find(client.conn);
      if (client === null || session === undefined) return done(new ConnectionFault("message-refused"));
      done(gates.publish(session, client.id, packet) ?? null);
    },
    authorizeSubscribe(client, subscription, done) {
      const session = gates.find(client.conn);
      const isGranted = session !== undefined && gates.subscribe(session, subscription);
      done(null, isGranted ? subscription : null); // a refusal is answered with 0x80 [MQTT-3.9.3-2]
    },
    authorizeForward(client, packet) {
      const session = gates.find(client.conn);
      return session === undefined || gates.forward(session, packet) ? packet : null;
    },
  } satisfies AedesOptions;
}

function tell<S>(aedes: Aedes, gates: Gates<S>): void {
  for (const event of ["clientError", "connectionError"] as const)
    aedes.on(event, (client, error) => gates.wasCut(client.id, error));
  // A persistence that fails emits "error"; without a listener that would end the process.
  aedes.addListener("error", (error: Error) => gates.erred(error));
  aedes.on("clientReady", ({ conn }) => {
    const session = gates.find(conn);
    if (session !== undefined) gates.ready(session);
  });
  aedes.on("client", ({ conn }) => {
    const session = gates.find(conn);
    if (session !== undefined) gates.connected(session, conn);
  });
  aedes.on("unsubscribe", (topics, { conn }) => {
    const session = gates.find(conn);
    if (session !== undefined) gates.unsubscribed(session, topics);
  });
}

/** Of the protocol level, by which another broker says that it is a bridge. The codec takes it off. */
const bridgeBit = 0x80;
const isOfBridge = (packet: object) => "bridgeMode" in packet && packet.bridgeMode === true;

function readRequest(packet: Parameters<NonNullable<AedesOptions["preConnect"]>>[1]): ConnectRequest {
  const { will } = packet;
  return {
    protocolVersion: (packet.protocolVersion ?? 0) + (isOfBridge(packet) ? bridgeBit : 0),
    clientId: packet.clientId,
    clean: packet.clean ?? false,
    keepAliveS: packet.keepalive ?? 0,
    username: packet.username,
    password: packet.password,
    will: will && { topic: will.topic, qos: will.qos ?? 0, retain: will.retain ?? false },
  };
}
