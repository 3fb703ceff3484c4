import type { Logger } from "pino";
import {
  type ConnectRequest,
  type ConnectRules,
  type ConnectVerdict,
  judgeConnect,
  type Peer,
} from "../access/identity.ts";
import type { Revocations } from "../access/revocations.ts";
import type { ServedClient } from "../aedes/served-client.ts";
import { type DrainLimits, neverWaitFor } from "../limits/slow-subscriber.ts";
import type { Metrics } from "../metrics.ts";
import type { Session, Sessions } from "./sessions.ts";

type Parts = {
  rules: ConnectRules;
  limits: DrainLimits;
  revocations: Revocations;
  metrics: Metrics;
  log: Logger;
  sessions: Pick<Sessions, "takeId">;
};

/** Judges a CONNECT; the session of an accepted client knows its identity from then on. */
export function takeConnect(
  parts: Parts,
  session: Session,
  client: ServedClient,
  request: ConnectRequest,
): ConnectVerdict {
  const verdict = judge(parts, session, request);
  if (verdict.status === "refused") {
    const { reason } = verdict;
    parts.metrics.connectRefused(session.peer.transport, reason);
    parts.log.warn({ reason, clientId: request.clientId }, "connect refused");
    return verdict;
  }
  const { identity } = verdict;
  session.known = { identity, client };
  // Under the open policy the broker makes an id for a client that names none.
  const isTakenOver = request.clientId !== "" && parts.sessions.takeId(request.clientId, session);
  if (isTakenOver) parts.metrics.connectionTakenOver(identity.kind);
  if (identity.kind === "car") neverWaitFor(client, parts.limits);
  return verdict;
}

function judge({ rules, revocations }: Parts, { peer, admission }: Session, request: ConnectRequest) {
  const verdict = judgeConnect(request, peer, rules);
  if (verdict.status === "refused") return verdict;
  const { identity } = verdict;
  if (identity.kind === "car" && revocations.isRevoked(identity.vin, serialNumberOf(peer)))
    return { status: "refused", reason: "revoked", returnCode: 5 } as const;
  return admission.authenticated(identity.kind) === "full"
    ? ({ status: "refused", reason: "too-many-connections", returnCode: 3 } as const)
    : verdict;
}

/** Why a live session must end; `now` is business time. */
export function judgeExpiry({ known, peer }: Session, now: Date): "certificate-expired" | undefined {
  const isOver = known?.identity.kind === "car" && peer.transport === "tls" && peer.expiresAt < now;
  return isOver ? "certificate-expired" : undefined;
}

export function judgeRevocation({ known, peer }: Session, revocations: Revocations): "revoked" | undefined {
  if (known?.identity.kind !== "car") return undefined;
  return revocations.isRevoked(known.identity.vin, serialNumberOf(peer)) ? "revoked" : undefined;
}

function serialNumberOf(peer: Peer): string | undefined {
  return peer.transport === "tls" ? peer.serialNumber : undefined;
}
