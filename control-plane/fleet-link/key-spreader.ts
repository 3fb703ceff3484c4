import { qosOf, topicOf } from "@caas/contract/topics.ts";
import { parseVin, type Vin } from "@caas/contract/vin.ts";
import type { Logger } from "pino";
import type { Db } from "../store/database.ts";
import type { KeyRing } from "./key-ring.ts";
import type { MqttLink } from "./mqtt-link.ts";

export type KeySpreader = {
  start(): void;
  stop(): Promise<void>;
  /** A car reported its set: a car that slept through a rotation may have no due manifest that would bring the keys. */
  heard(vin: Vin, keySetVersion: number): void;
};

/** How soon a rotation by another process is noticed. */
const lookEveryMs = 1_000;
/** A car that does not answer is sent the keys again after this many looks. */
const looksUntilAgain = 30;
/** Cars per look: a whole fleet's keys at once would hold up its manifests. */
const carsALook = 500;

/**
 * Notices that the key folder holds a newer set, and sends it to every car that is online and has an older one.
 * The others get it before their next manifest.
 */
export function createKeySpreader(options: {
  db: Db;
  keyRing: KeyRing;
  link: MqttLink;
  /** A newer set was taken over. */
  onNewKeys(): void;
  logger: Logger;
}): KeySpreader {
  const { db, keyRing, link, logger } = options;
  let timer: NodeJS.Timeout | undefined;
  let working: Promise<void> | undefined;
  let isStopped = true;
  let looks = 0;
  /** Cars up to this id were sent the keys in this round; `null` between rounds. */
  let toldUpTo: string | null = "00000000-0000-0000-0000-000000000000";

  async function look(): Promise<void> {
    if (await keyRing.refresh()) {
      logger.info({ version: keyRing.keySet.version }, "a newer key set is in force");
      options.onNewKeys();
      beginRound();
    }
    looks += 1;
    if (looks % looksUntilAgain === 0) beginRound();
    if (toldUpTo === null || !link.isConnected()) return;
    const cars = await db
      .selectFrom("vehicle_links")
      .select(["vehicle_id", "vin"])
      .where("presence", "=", "online")
      .where("proof_public_key", "is not", null)
      .where("key_set_version", "<", keyRing.keySet.version)
      .where("vehicle_id", ">", toldUpTo)
      .orderBy("vehicle_id")
      .limit(carsALook)
      .execute();
    for (const { vin } of cars) link.publish(topicOf(parseVin(vin), "keys"), keyRing.keySetToken, qosOf.keys);
    toldUpTo = cars.length < carsALook ? null : (cars.at(-1)?.vehicle_id ?? null);
  }

  function beginRound(): void {
    toldUpTo = "00000000-0000-0000-0000-000000000000";
  }

  function tick(): void {
    working = look()
      .catch((error: unknown) => logger.error({ err: error }, "checking the keys failed"))
      .finally(() => {
        working = undefined;
        if (!isStopped) timer = setTimeout(tick, lookEveryMs);
      });
  }

  return {
    heard(vin, keySetVersion) {
      if (keySetVersion < keyRing.keySet.version)
        link.publish(topicOf(vin, "keys"), keyRing.keySetToken, qosOf.keys);
    },
    start() {
      isStopped = false;
      tick();
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await working;
    },
  };
}
