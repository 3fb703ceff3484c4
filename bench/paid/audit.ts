import { setTimeout as delay } from "node:timers/promises";
import { nowMs } from "@caas/simulator/run/pace.ts";
import { withClient } from "../../lab/database.ts";
import type { GatewayIntent } from "../../lab/gateway-books.ts";
import type { Bought } from "./buyers-process.ts";

// What must be true of every purchase that is counted, read where the truth is: the gateway's own books and our tables.

/** What is known about purchases. Prices are by service, in cents; states by activation, of those that exist. */
export type PurchaseEvidence = {
  bought: readonly Pick<Bought, "purchases" | "refused">[];
  intents: readonly GatewayIntent[];
  prices: ReadonlyMap<string, number>;
  states: ReadonlyMap<string, string>;
};

const lookEveryMs = 100;

/** The activations whose price the gateway captured, and has kept, exactly once. */
export function listPaidOnce({
  bought,
  intents,
  prices,
}: Omit<PurchaseEvidence, "states">): ReadonlySet<string> {
  const byActivation = Map.groupBy(intents, ({ activationId }) => activationId);
  const paid = bought
    .flatMap(({ purchases }) => purchases)
    .filter(({ activationId, serviceId }) => {
      const [intent, ...others] = byActivation.get(activationId) ?? [];
      const wasKept =
        intent?.capturedCents === prices.get(serviceId) &&
        intent?.refundedCents === 0 &&
        intent.disputedCents === 0;
      return others.length === 0 && wasKept;
    });
  return new Set(paid.map(({ activationId }) => activationId));
}

/** Sentences about purchases that are not complete, or not paid exactly once; none when all is well. */
export function judgePurchases(evidence: PurchaseEvidence): string[] {
  const { bought, intents, states } = evidence;
  const purchases = bought.flatMap((one) => one.purchases);
  const refused = bought.flatMap((one) => Object.entries(one.refused));
  const known = new Set(purchases.map(({ activationId }) => activationId));
  const all = purchases.length;
  const notActive = purchases.filter(({ activationId }) => states.get(activationId) !== "ServiceActive");
  const notPaidOnce = all - listPaidOnce(evidence).size;
  const notRecorded = purchases.filter(({ capturedMs }) => capturedMs === null);
  const strange = intents.filter(
    ({ activationId, capturedCents }) =>
      capturedCents > 0 && activationId !== null && !known.has(activationId),
  );
  return [
    ...(all === 0 ? ["nothing was bought"] : []),
    ...refused.map(([status, count]) => `${count} purchases were answered with ${status}`),
    ...(notActive.length > 0 ? [`${notActive.length} of ${all} purchases did not end at ServiceActive`] : []),
    ...(notPaidOnce > 0
      ? [`the gateway did not capture the price of ${notPaidOnce} purchases exactly once`]
      : []),
    ...(notRecorded.length > 0 ? [`the capture of ${notRecorded.length} purchases is not recorded`] : []),
    ...(strange.length > 0
      ? [`the gateway captured ${strange.length} payments that no purchase asked for`]
      : []),
  ];
}

/** The states of these activations. */
export async function readStates(
  databaseUrl: string,
  bought: PurchaseEvidence["bought"],
): Promise<Map<string, string>> {
  const ids = bought.flatMap(({ purchases }) => purchases.map(({ activationId }) => activationId));
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ id: string; state: string }>(
      "select id, state from activations where id = any($1::uuid[])",
      [ids],
    ),
  );
  return new Map(rows.map(({ id, state }) => [id, state]));
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
