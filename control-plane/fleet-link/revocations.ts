import {
  type Revocation,
  type RevocationMessage,
  revocationTopic,
  signRevocationList,
  splitRevocationList,
} from "@caas/contract/revocation-list.ts";
import { parseVin } from "@caas/contract/vin.ts";
import type { Context } from "../lifecycle/context.ts";
import type { KeyRing } from "./key-ring.ts";

/** The signed messages with the current revocations; expired certificates are left out. */
export async function signRevocations(context: Context, keyRing: KeyRing): Promise<string[]> {
  const now = context.clock.now();
  const { version, revoked } = await context.db
    .transaction()
    .setIsolationLevel("repeatable read")
    .execute(async (tx) => {
      const list = await tx.selectFrom("revocation_list").select("version").executeTakeFirstOrThrow();
      const rows = await tx
        .selectFrom("revocations as revocation")
        .leftJoin("certificates as certificate", "certificate.serial_number", "revocation.serial_number")
        .where((where) =>
          where.or([
            where("revocation.serial_number", "is", null),
            where("certificate.not_after", ">=", now),
          ]),
        )
        .orderBy("revocation.revoked_at")
        .select(["revocation.vin", "revocation.serial_number"])
        .execute();
      return { version: list.version, revoked: rows.map(toEntry) };
    });
  const { keySetToken, signingKey } = keyRing;
  return splitRevocationList(version, now, revoked).map((list) => {
    const message: RevocationMessage = { keySet: keySetToken, list: signRevocationList(list, signingKey) };
    return JSON.stringify(message);
  });
}

function toEntry(row: { vin: string; serial_number: string | null }): Revocation {
  return { vin: parseVin(row.vin), serialNumber: row.serial_number };
}

export type RevocationPublisher = {
  /** Publishes the newest list, now or as soon as the database and the link are up. */
  publish(): void;
  stop(): Promise<void>;
};

const retryMs = 1_000;

export function createRevocationPublisher(
  context: Context,
  options: {
    keyRing: KeyRing;
    link: { isConnected(): boolean; publish(topic: string, payload: string, qos: 0 | 1): boolean };
  },
): RevocationPublisher {
  const { keyRing, link } = options;
  let working: Promise<void> | undefined;
  let isWanted = false;
  let isStopped = false;
  let retry: NodeJS.Timeout | undefined;

  async function work(): Promise<void> {
    while (isWanted && !isStopped) {
      isWanted = false;
      // Nothing to do without a link: the next connection publishes everything again.
      if (!link.isConnected()) return;
      for (const message of await signRevocations(context, keyRing))
        link.publish(revocationTopic, message, 1);
    }
  }

  function publish(): void {
    isWanted = true;
    if (isStopped || working !== undefined) return;
    clearTimeout(retry);
    working = work()
      .catch((error: unknown) => {
        context.logger.error({ err: error }, "the revocation list could not be published; trying again");
        retry = setTimeout(publish, retryMs);
      })
      .finally(() => {
        working = undefined;
      });
  }

  return {
    publish,
    async stop() {
      isStopped = true;
      clearTimeout(retry);
      await working;
    },
  };
}
