import { generateKeyPairSync } from "node:crypto";
import { exportPublicKey, type SigningKey, thumbprintOf } from "@caas/contract/jws.ts";
import { signReport } from "@caas/contract/report.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { parseVin } from "@caas/contract/vin.ts";
import type { WireMessage } from "@caas/vehicle-agent/link/transport.ts";
import type { Random } from "../chance/seeded-random.ts";
import { forgedOffset } from "../link/forger.ts";
import type { AttackKind } from "./car-kind.ts";

export type Attack = { kind: AttackKind; message: WireMessage };

let attackersKey: SigningKey | null = null;

function readAttackersKey(): SigningKey {
  if (attackersKey === null) {
    const { privateKey } = generateKeyPairSync("ed25519");
    attackersKey = { kid: thumbprintOf(exportPublicKey(privateKey)), privateKey };
  }
  return attackersKey;
}

/** Above what a broker accepts, and below what it would refuse by the header alone. */
const oversizedBytes = 48 * 1024;

/** What a car that was taken over sends next. */
export function nextAttack(vin: string, kinds: readonly AttackKind[], random: Random): Attack {
  const kind = kinds[Math.floor(random() * kinds.length)] ?? "garbageReport";
  const own = parseVin(vin);
  const message = (topic: string, payload: string, qos: 0 | 1): Attack => ({
    kind,
    message: { topic, payload, qos, retain: false },
  });
  switch (kind) {
    case "forgedReport": {
      const hash = "f".repeat(43);
      const version = forgedOffset + Math.floor(random() * 1_000);
      const report = {
        vin: own,
        seq: version,
        active: { version, hash },
        outcome: null,
        deferred: null,
        refused: {},
        keySetVersion: 1,
        sentAt: new Date(0).toISOString(),
      };
      return message(topicOf(own, "report"), signReport(report, readAttackersKey()), 1);
    }
    case "garbageReport":
      return message(topicOf(own, "report"), `e30.${"A".repeat(64)}.${random()}`, 1);
    case "foreignTopic":
      // A VIN that no car has, so that no honest car of the run is blamed for it.
      return message(topicOf(parseVin("WDB11111111111111"), "report"), "not mine", 1);
    case "oversizedTelemetry":
      return message(topicOf(own, "telemetry"), "x".repeat(oversizedBytes), 0);
  }
}
