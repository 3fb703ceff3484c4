import {
  type Revocation,
  type RevocationMessage,
  revocationTopic,
  signRevocationList,
  splitRevocationList,
} from "@caas/contract/revocation-list.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import { type Refusal, refuse } from "../http/refusal.ts";
import { type Actor, actorId } from "../lifecycle/actor.ts";
import type { Context } from "../lifecycle/context.ts";
import { recordStep } from "../lifecycle/record-step.ts";
import type { Reader, Transaction } from "../store/database.ts";
import { newId } from "../store/ids.ts";
import type { KeyRing } from "./key-ring.ts";

/** Rung, without content, when somebody was shut out. */
export const revocationChannel = "caas_revocations";

export type Revoked = { serialNumber: string | null; reason: string; revokedAt: Date };

/**
 * Shuts a car out, or one certificate of it. What is bought for it stays as it is: who may not connect is one
 * question, what a customer is entitled to another. Revoking twice is the same as once.
 */
export async function revoke(
  context: Context,
  tx: Transaction,
  asked: { vehicleId: string; serialNumber: string | null; reason: string; actor: Actor },
): Promise<{ kind: "revoked"; revocation: Revoked } | Refusal> {
  const { vehicleId, serialNumber, reason, actor } = asked;
  const vehicle = await tx
    .selectFrom("vehicles")
    .select("vin")
    .where("id", "=", vehicleId)
    .forUpdate()
    .executeTakeFirst();
  if (vehicle === undefined || vehicle.vin === null)
    return refuse("conflict", "the car has no identity yet: no VIN was assigned to it");
  if (serialNumber !== null) {
    const certificate = await tx
      .selectFrom("certificates")
      .select("serial_number")
      .where("vehicle_id", "=", vehicleId)
      .where("serial_number", "=", serialNumber)
      .executeTakeFirst();
    if (certificate === undefined)
      return refuse("unknownChoice", "the car has no certificate of that serial number", {
        field: "body.serialNumber",
      });
  }
  const known = (await listRevocations(tx, vehicleId)).find((one) => one.serialNumber === serialNumber);
  if (known !== undefined) return { kind: "revoked", revocation: known };

  const revokedAt = context.clock.now();
  await tx.updateTable("revocation_list").set({ version: sql`version + 1` }).execute();
  await tx
    .insertInto("revocations")
    .values({
      id: newId(),
      vehicle_id: vehicleId,
      vin: vehicle.vin,
      serial_number: serialNumber,
      reason,
      revoked_by: actorId(actor),
      revoked_at: revokedAt,
    })
    .execute();
  await recordStep(tx, {
    vehicleId,
    event: serialNumber === null ? "identityRevoked" : "certificateRevoked",
    automation: null,
    actor,
    at: revokedAt,
    detail: { reason, ...(serialNumber === null ? {} : { serialNumber }) },
  });
  await sql`select pg_notify(${revocationChannel}, '')`.execute(tx);
  return { kind: "revoked", revocation: { serialNumber, reason, revokedAt } };
}

export async function listRevocations(reader: Reader, vehicleId: string): Promise<Revoked[]> {
  const rows = await reader
    .selectFrom("revocations")
    .select(["serial_number", "reason", "revoked_at"])
    .where("vehicle_id", "=", vehicleId)
    .orderBy("revoked_at")
    .execute();
  return rows.map((row) => ({
    serialNumber: row.serial_number,
    reason: row.reason,
    revokedAt: row.revoked_at,
  }));
}

/** The signed messages that say who is shut out now; an expired certificate needs no saying. */
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
  /** The broker may not know the newest list: tell it, now or as soon as the database and the link are there. */
  publish(): void;
  stop(): Promise<void>;
};

const retryMs = 1_000;

export function createRevocationPublisher(
  context: Context,
  options: {
    keyRing: KeyRing;
    link: { isConnected(): boolean; publish(topic: string, payload: string): boolean };
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
      // Without a link there is nothing to do: with the next one everything is said again.
      if (!link.isConnected()) return;
      for (const message of await signRevocations(context, keyRing)) link.publish(revocationTopic, message);
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
