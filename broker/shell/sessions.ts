import type { Duplex } from "node:stream";
import type { Identity } from "../access/access.ts";
import type { Peer } from "../access/identity.ts";
import type { ServedClient } from "../aedes/served-client.ts";
import type { Hearing } from "../lane/lane-hearers.ts";
import type { Lane } from "../lane/message-lane.ts";
import type { Admission } from "../limits/connection-door.ts";
import { ConnectionFault } from "../limits/connection-fault.ts";
import type { Intake } from "../limits/first-packet-guard.ts";
import type { Meter } from "../limits/traffic-meter.ts";

/** One connection as the shell sees it. */
export class Session {
  readonly peer: Peer;
  readonly admission: Admission;
  readonly meter: Meter;
  /** Its identity, from its CONNECT on. */
  known: { identity: Identity; client: ServedClient } | undefined;
  clientId: string | undefined;
  /** The QoS that a car was granted for each topic it subscribed to. */
  readonly granted = new Map<string, 0 | 1 | 2>();
  /** Messages sent to a car with QoS 1 that it has not acknowledged. */
  inflight = 0;
  /** Packets that came before `lane` was opened. */
  packets = 0;
  /** Takes its messages past aedes, once it is open. */
  lane: Lane<Session> | undefined;
  /** Its subscriptions to messages from lanes; a handful. */
  hearing: readonly Hearing[] = none;
  intake: Intake | undefined;

  /** @param createMeter is given what to do when a pause is over */
  constructor(peer: Peer, admission: Admission, createMeter: (onResume: () => void) => Meter) {
    this.peer = peer;
    this.admission = admission;
    this.meter = createMeter(() => this.intake?.resume());
  }
}

const none: readonly never[] = [];

export type Sessions = {
  add(conn: Duplex, session: Session): void;
  /** The session takes this client id. @returns whether another one, whose connection is open, had it */
  takeId(clientId: string, session: Session): boolean;
  get(conn: Duplex): Session | undefined;
  /** Cuts every session for which `reasonOf` gives a reason. @returns how many */
  cut(reasonOf: (session: Session) => string | undefined): number;
};

export function createSessions(): Sessions {
  // Weak, because aedes still asks about the will of a client whose socket is gone.
  const sessions = new WeakMap<Duplex, Session>();
  const live = new Set<Duplex>();
  const holders = new Map<string, Session>();
  return {
    add(conn, session) {
      sessions.set(conn, session);
      live.add(conn);
      conn.once("close", () => {
        live.delete(conn);
        const { clientId } = session;
        if (clientId !== undefined && holders.get(clientId) === session) holders.delete(clientId);
      });
    },
    takeId(clientId, session) {
      const isTakenOver = holders.has(clientId);
      holders.set(clientId, session);
      session.clientId = clientId;
      return isTakenOver;
    },
    get: (conn) => sessions.get(conn),
    cut(reasonOf) {
      let count = 0;
      for (const conn of live) {
        const session = sessions.get(conn);
        const reason = session === undefined ? undefined : reasonOf(session);
        if (reason === undefined) continue;
        count += 1;
        conn.destroy(new ConnectionFault(reason));
      }
      return count;
    },
  };
}
