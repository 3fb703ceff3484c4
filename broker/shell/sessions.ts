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
export type Session = {
  peer: Peer;
  admission: Admission;
  /** Who it is, from its CONNECT on. */
  known: { identity: Identity; client: ServedClient } | undefined;
  meter: Meter;
  /** The QoS that a car was granted for each topic it subscribed to. */
  granted: Map<string, 0 | 1 | 2>;
  /** Messages sent to a car with QoS 1 that it has not acknowledged. */
  inflight: number;
  /** Packets that came before `lane` was opened. */
  packets: number;
  /** Where its messages go past aedes, once it is open. */
  lane: Lane | undefined;
  /** What it hears of the others' lanes; a handful. */
  hearing: readonly Hearing[];
  intake: Intake | undefined;
};

export function openSession(peer: Peer, admission: Admission, meter: Meter): Session {
  return {
    peer,
    admission,
    known: undefined,
    meter,
    granted: new Map(),
    inflight: 0,
    packets: 0,
    lane: undefined,
    hearing: none,
    intake: undefined,
  };
}

const none: readonly never[] = [];

export type Sessions = {
  add(conn: Duplex, session: Session): void;
  get(conn: Duplex): Session | undefined;
  /** Cuts every car that `reasonOf` names a reason for; how many. */
  cut(reasonOf: (session: Session) => string | undefined): number;
};

export function createSessions(): Sessions {
  // Weak, because aedes still asks about the will of a client whose socket is gone.
  const sessions = new WeakMap<Duplex, Session>();
  const live = new Set<Duplex>();
  return {
    add(conn, session) {
      sessions.set(conn, session);
      live.add(conn);
      conn.once("close", () => live.delete(conn));
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
