import { setTimeout as delay } from "node:timers/promises";
import { nowMs } from "@caas/simulator/run/pace.ts";
import { openStandIn } from "@caas/simulator/stand-ins/client.ts";
import * as z from "zod";
import { withClient } from "../../lab/database.ts";
import type { Bought } from "./buyers-process.ts";

// What must be true of every purchase that is counted, read where the truth is: the gateway's own books and our tables.

const totalsSchema = z.object({
  totals: z.array(z.object({ reference: z.string().nullable(), intents: z.int(), capturedCents: z.int() })),
});

const lookEveryMs = 100;

/** Sentences about purchases that are not complete, or not paid exactly once; none when all is well. */
export async function listUnpaid(
  gatewayUrl: string,
  databaseUrl: string,
  bought: readonly Bought[],
): Promise<string[]> {
  const purchases = bought.flatMap((one) => one.purchases);
  const refused = bought.flatMap((one) => Object.entries(one.refused));
  const { totals } = await openStandIn(gatewayUrl).get("/_control/charges", totalsSchema);
  const atGateway = new Map(totals.map((total) => [total.reference, total]));
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ id: string; state: string; payment_id: string; amount_cents: number }>(
      `select activation.id, activation.state, payment.id as payment_id, payment.amount_cents
       from activations activation join payments payment on payment.activation_id = activation.id
       where activation.id = any($1::uuid[])`,
      [purchases.map(({ activationId }) => activationId)],
    ),
  );
  const notActive = purchases.length - rows.filter(({ state }) => state === "ServiceActive").length;
  const notPaidOnce = rows.filter((row) => {
    const total = atGateway.get(row.payment_id);
    return total === undefined || total.intents !== 1 || total.capturedCents !== row.amount_cents;
  });
  return [
    ...refused.map(([status, count]) => `${count} purchases were answered with ${status}`),
    ...(notActive > 0 ? [`${notActive} of ${purchases.length} purchases did not end at ServiceActive`] : []),
    ...(notPaidOnce.length > 0
      ? [`the gateway did not capture the price of ${notPaidOnce.length} purchases exactly once`]
      : []),
  ];
}

/** Until every mail was handed over. @returns when, ms of the machine's clock */
export async function untilMailIsOut(databaseUrl: string, signal: AbortSignal): Promise<number> {
  await untilCount(databaseUrl, "select count(*) from notifications where status = 'queued'", 0, signal);
  return nowMs();
}

export async function untilCarsAreOnline(
  databaseUrl: string,
  cars: number,
  signal: AbortSignal,
): Promise<void> {
  await untilCount(databaseUrl, "select count(*) from vehicle_links where presence = 'online'", cars, signal);
}

function untilCount(url: string, text: string, wanted: number, signal: AbortSignal): Promise<void> {
  return withClient(url, async (client) => {
    while (!signal.aborted) {
      const { rows } = await client.query<{ count: string }>(text);
      if (Number(rows[0]?.count) === wanted) return;
      await delay(lookEveryMs);
    }
  });
}
