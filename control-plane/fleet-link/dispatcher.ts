import type { Clock } from "@caas/contract/business-clock.ts";
import { signManifestWith } from "@caas/contract/manifest.ts";
import { qosOf, topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { Logger } from "pino";
import { passFailpoint } from "../store/failpoints.ts";
import type { KeyRing } from "./key-ring.ts";
import type { MqttLink } from "./mqtt-link.ts";

/** A manifest that is due to be sent. */
export type DueManifest = {
  vin: Vin;
  version: number;
  hash: string;
  proofKey: string;
  /** JSON text. */
  entriesJson: string;
  needsKeys: boolean;
};

export type Dispatcher = {
  start(): void;
  stop(): Promise<void>;
  /** Something that may be due was committed: looks at once. */
  wake(): void;
};

const batch = 512;
/** Re-sends come due by the clock, not by a wake-up. */
const lookEveryMs = 250;

/** Claims due manifests, signs each one again and passes it to the broker. */
export function createDispatcher(options: {
  takeDue(limit: number): Promise<DueManifest[]>;
  link: MqttLink;
  keyRing: KeyRing;
  clock: Clock;
  onSent?(count: number): void;
  logger: Logger;
}): Dispatcher {
  const { link, keyRing, clock, logger } = options;
  let stopped = true;
  let wasWoken = false;
  let working: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  function sendOne(due: DueManifest): void {
    if (due.needsKeys) link.publish(topicOf(due.vin, "keys"), keyRing.keySetToken, qosOf.keys);
    const head = {
      vin: due.vin,
      version: due.version,
      hash: due.hash,
      proofKey: due.proofKey,
      keySetVersion: keyRing.keySet.version,
      issuedAt: clock.now().toISOString(),
    };
    const token = signManifestWith(head, due.entriesJson, keyRing.signingKey);
    link.publish(topicOf(due.vin, "manifest"), token, qosOf.manifest);
  }

  async function sendAll(): Promise<void> {
    for (;;) {
      wasWoken = false;
      if (!link.isConnected()) return;
      const due = await options.takeDue(batch);
      if (due.length > 0) passFailpoint("dispatches-claimed-before-publish");
      for (const one of due) sendOne(one);
      if (due.length > 0) options.onSent?.(due.length);
      if (due.length < batch && !wasWoken) return;
    }
  }

  function look(): void {
    if (stopped || working !== undefined) return;
    clearTimeout(timer);
    working = sendAll()
      .catch((error: unknown) => logger.error({ err: error }, "dispatching manifests failed"))
      .finally(() => {
        working = undefined;
        if (stopped) return;
        if (wasWoken) look();
        else timer = setTimeout(look, lookEveryMs);
      });
  }

  return {
    start() {
      stopped = false;
      look();
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await working;
    },
    wake() {
      passFailpoint("version-committed-before-dispatch");
      wasWoken = true;
      look();
    },
  };
}
