import type { AgentParts } from "../agent-parts.ts";
import type { CertificateKeeper } from "./certificate-keeper.ts";

/** Renews an agent's certificate before connecting, and while connected as soon as it is due. */
export type CertificateRenewal = {
  /** Before every connection. Rejects only for a simulated power loss. */
  beforeConnecting(signal: AbortSignal): Promise<void>;
  /** The broker has accepted the car. */
  connected(): Promise<void>;
  /** A connection failed. */
  notConnected(): void;
  /** At the due time. */
  whileConnected(signal: AbortSignal): Promise<void>;
};

export function createCertificateRenewal(
  parts: Pick<AgentParts, "identity" | "time" | "events" | "metrics" | "logger" | "wakeUps"> & {
    certificates: CertificateKeeper;
    takeKeySet: (token: string) => void;
    reconnect: () => void;
  },
): CertificateRenewal {
  const { certificates, time, events, metrics, logger, wakeUps } = parts;
  const { vin } = parts.identity;

  /** Whether the car has a new one now. */
  async function prepare(signal: AbortSignal): Promise<boolean> {
    const renewal = await certificates.prepare(time.now(), signal);
    if (renewal.kind === "notDue" || signal.aborted) return false;
    metrics?.renewalTried(renewal.kind);
    if (renewal.kind === "failed") {
      logger.warn({ vin, detail: renewal.detail }, "the certificate could not be renewed");
      events.emit("renewalFailed", renewal.detail);
      return false;
    }
    logger.info({ vin, validUntil: renewal.validUntil }, "the certificate was renewed");
    events.emit("certificateRenewed", renewal.validUntil);
    parts.takeKeySet(renewal.keySet);
    return true;
  }

  const schedule = (): void => wakeUps.set("renewal", certificates.dueInMs(time.now()));

  return {
    async beforeConnecting(signal) {
      await prepare(signal);
    },
    async connected() {
      await certificates.accepted();
      schedule();
    },
    notConnected: () => certificates.refused(),
    async whileConnected(signal) {
      // A new connection proves it at once, while the former certificate is still valid.
      if (await prepare(signal)) parts.reconnect();
      else if (!signal.aborted) schedule();
    },
  };
}
