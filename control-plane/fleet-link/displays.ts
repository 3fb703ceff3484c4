import { type Display, displaySchema, signDisplay } from "@caas/contract/display.ts";
import { qosOf, topicOf } from "@caas/contract/topics.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { sql } from "kysely";
import * as z from "zod";
import type { Context } from "../lifecycle/context.ts";
import type { EventHandler } from "../lifecycle/events.ts";
import type { Transaction } from "../store/database.ts";
import { enqueue, handleJob, type JobHandler, jobType } from "../store/jobs.ts";
import type { KeyRing } from "./key-ring.ts";
import type { MqttLink } from "./mqtt-link.ts";

export type Displays = {
  onDisplayRequested: EventHandler<"displayRequested">;
  /** Sends unacknowledged messages again. */
  onCarConnected: EventHandler<"carConnected">;
  acknowledge(tx: Transaction, displayId: string, vin: string, result: string): Promise<void>;
  jobs: readonly JobHandler[];
};

const sendDisplay = jobType("sendDisplay", z.strictObject({ displayId: z.uuid() }));

/** Signed messages for a car's own screen, stored until the car acknowledges them or they expire. */
export function createDisplays(context: Context, options: { link: MqttLink; keyRing: KeyRing }): Displays {
  const { link, keyRing } = options;

  async function send(displayId: string): Promise<void> {
    const row = await context.db
      .selectFrom("displays")
      .innerJoin("vehicle_links", "vehicle_links.vehicle_id", "displays.vehicle_id")
      .where("displays.id", "=", displayId)
      .where("acknowledged_at", "is", null)
      .where("expires_at", ">", context.clock.now())
      .select(["displays.id", "content", "issued_at", "expires_at", "vin"])
      .executeTakeFirst();
    if (row === undefined) return;
    const vin = parseVin(row.vin);
    const display: Display = displaySchema.parse({
      vin,
      id: row.id,
      content: row.content,
      issuedAt: row.issued_at.toISOString(),
      expiresAt: row.expires_at.toISOString(),
    });
    if (!link.publish(topicOf(vin, "display"), signDisplay(display, keyRing.signingKey), qosOf.display))
      throw new Error("the link to the broker is down");
  }

  return {
    onDisplayRequested: async (tx, requested) => {
      const issuedAt = context.clock.now();
      await tx
        .insertInto("displays")
        .values(
          requested.map(({ vehicleId, displayId, content, expiresAt }) => ({
            id: displayId,
            vehicle_id: vehicleId,
            content: JSON.stringify(content),
            issued_at: issuedAt,
            expires_at: expiresAt,
          })),
        )
        .execute();
      await enqueue(
        tx,
        sendDisplay,
        requested.map(({ displayId }) => ({ payload: { displayId } })),
      );
    },

    onCarConnected: async (tx, cars) => {
      const rows = await tx
        .selectFrom("displays")
        .select("id")
        .where(
          "vehicle_id",
          "in",
          cars.map(({ vehicleId }) => vehicleId),
        )
        .where("acknowledged_at", "is", null)
        .where("expires_at", ">", context.clock.now())
        .execute();
      await enqueue(
        tx,
        sendDisplay,
        rows.map(({ id }) => ({ payload: { displayId: id }, key: `display:${id}` })),
      );
    },

    async acknowledge(tx, displayId, vin, result) {
      await tx
        .updateTable("displays")
        .set({
          acknowledged_at: context.clock.now(),
          result,
          // A linking code has been shown and is no longer needed here.
          content: sql`case when content->>'kind' = 'linkingCode' then '{"kind":"linkingCode"}'::jsonb else content end`,
        })
        .where("id", "=", displayId)
        .where("vehicle_id", "in", (query) =>
          query.selectFrom("vehicle_links").select("vehicle_id").where("vin", "=", vin),
        )
        .execute();
    },

    jobs: [handleJob(sendDisplay, ({ displayId }) => send(displayId))],
  };
}
