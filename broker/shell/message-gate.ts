import type { Logger } from "pino";
import { judgePublish, type Message, type PublishedKind } from "../access/access.ts";
import { passFailpoint } from "../failpoints.ts";
import { ConnectionFault } from "../limits/connection-fault.ts";
import type { Metrics } from "../metrics.ts";
import type { Session } from "./sessions.ts";

type Parts = { metrics: Metrics; log: Logger };

/** A fault ends the connection. */
type Verdict = { kind: PublishedKind } | { fault: ConnectionFault };

/** Judges what a client publishes; a message that passes is counted. */
export function takeMessage(parts: Parts, session: Session, clientId: string, message: Message): Verdict {
  const verdict = judge(parts, session, clientId, message);
  if ("kind" in verdict) count(parts, verdict.kind);
  return verdict;
}

/** The same judgement for a message that could go past aedes; one left to aedes is counted there. */
export function takeInLane(parts: Parts, session: Session, message: Message): "passes" | "aedes" | "refused" {
  const { known } = session;
  if (known === undefined) return "aedes";
  const verdict = judge(parts, session, known.client.id, message);
  if ("fault" in verdict) {
    known.client.conn.destroy(verdict.fault);
    return "refused";
  }
  // Retained messages, and those for the broker itself.
  if (verdict.kind === "presence" || verdict.kind === "revocations") return "aedes";
  count(parts, verdict.kind);
  return "passes";
}

function judge({ metrics, log }: Parts, { known }: Session, clientId: string, message: Message): Verdict {
  if (known === undefined) return { fault: new ConnectionFault("message-refused") };
  const verdict = judgePublish(known.identity, message);
  if (verdict.status === "allowed") return verdict;
  const { reason } = verdict;
  metrics.messageRefused(reason);
  log.warn({ reason, clientId, topic: message.topic }, "message refused");
  return { fault: new ConnectionFault("message-refused") };
}

function count({ metrics }: Parts, kind: PublishedKind): void {
  passFailpoint("publish-taken-before-forwarded");
  metrics.messagePublished(kind);
}
