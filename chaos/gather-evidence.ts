import { join } from "node:path";
import { forgedOffset } from "@caas/simulator/link/forger.ts";
import { chargeSchema, intentSchema } from "@caas/simulator/stand-ins/gateway/objects.ts";
import { openStore } from "@caas/simulator/stand-ins/shared/store.ts";
import pg from "pg";
import * as z from "zod";
import type { Rest } from "./customers.ts";
import type { Asked, CarHolds, Evidence, GatewayIntent, Shown } from "./evidence.ts";
import { readCommits } from "./read-commits.ts";
import type { CarInWorld, World } from "./world.ts";

/** Requests to REST at one time. */
const askedAtOnce = 16;

/** The gateway's own books, from its own file: the platform has no hand in it. */
export function readGatewayStore(path: string): GatewayIntent[] {
  const store = openStore(path);
  try {
    const charges = store.collection("charges", chargeSchema, { intent: (charge) => charge.payment_intent });
    return store
      .collection("paymentIntents", intentSchema)
      .list()
      .map((intent) => {
        const ofIntent = charges.find("intent", intent.id);
        return {
          id: intent.id,
          activationId: intent.metadata.activation ?? null,
          status: intent.status,
          capturedCents: ofIntent.reduce((sum, charge) => sum + charge.amount_captured, 0),
          refundedCents: ofIntent.reduce((sum, charge) => sum + charge.amount_refunded, 0),
        };
      });
  } finally {
    store.close();
  }
}

/** What each owner is shown over REST: their activations, and what their car shall hold. */
async function askOwners(
  cars: readonly CarInWorld[],
  rest: Rest,
): Promise<{ shown: Shown[]; wanted: Map<string, string> }> {
  const shown: Shown[] = [];
  const wanted = new Map<string, string>();
  const left = cars.values();
  async function work(): Promise<void> {
    for (const { vin, vehicleId, token } of left) {
      const listed = await rest.get(`/api/vehicles/${vehicleId}/activations`, token);
      for (const { id, service, state } of listingSchema.parse(bodyOf(listed)).activations)
        shown.push({ activationId: id, vin, serviceCode: service.code, state });
      const manifest = await rest.get(`/api/vehicles/${vehicleId}/manifest`, token);
      wanted.set(vin, manifestSchema.parse(bodyOf(manifest)).hash);
    }
  }
  await Promise.all(Array.from({ length: askedAtOnce }, work));
  return { shown, wanted };
}

const listingSchema = z.object({
  activations: z.array(
    z.looseObject({ id: z.uuid(), state: z.string(), service: z.looseObject({ code: z.string() }) }),
  ),
});
const manifestSchema = z.looseObject({ hash: z.string() });

function bodyOf(answer: Awaited<ReturnType<Rest["get"]>>): unknown {
  if (answer.kind === "refused") throw new Error(`an owner was refused: ${answer.detail}`);
  return answer.body;
}

export async function gatherEvidence(world: World, rest: Rest, asked: readonly Asked[]): Promise<Evidence> {
  const { shown, wanted } = await askOwners(world.cars, rest);
  const cars = (await world.show()).map(
    ({ vin, hash, codes }): CarHolds => ({ vin, hash, codes, wantedHash: wanted.get(vin) ?? null }),
  );
  const client = new pg.Client({ connectionString: world.databaseUrl });
  await client.connect();
  try {
    const { rows: believed } = await client.query<{ vin: string; version: number; seq: number }>(
      "select vin, greatest(manifest_version, active_version) as version, report_seq as seq from vehicle_links",
    );
    return {
      asked,
      shown,
      intents: readGatewayStore(join(world.dataDir, "partners", "gateway.db")),
      cars,
      commits: readCommits(world.commitsFile),
      forgedOffset,
      believed,
      stuck: await findStuck(client),
      unbalanced: await findUnbalanced(client),
    };
  } finally {
    await client.end();
  }
}

/** Not final, and nothing will move it: no job, no due time of it or of its car's manifest, no open task. */
async function findStuck(client: pg.Client): Promise<string[]> {
  const { rows: tables } = await client.query<{ quick: string | null }>(
    "select to_regclass('quick_jobs') as quick",
  );
  const jobs = [
    "select payload from graphile_worker._private_jobs where attempts < max_attempts",
    ...(tables[0]?.quick ? ["select payload::json from quick_jobs where attempts < max_attempts"] : []),
  ].join(" union all ");
  const { rows } = await client.query<{ id: string }>(
    `with job as (select payload->>'activationId' as activation, payload->>'paymentId' as payment from (${jobs}) as all_jobs)
     select a.id from activations a
     where a.ended_at is null
       and not exists (select from job left join payments p on p.id::text = job.payment
                       where job.activation = a.id::text or p.activation_id = a.id)
       and not exists (select from timers t where t.subject_id::text = a.id::text)
       and not exists (select from manifest_dispatches d where d.vehicle_id = a.vehicle_id)
       and not exists (select from tasks t where t.activation_id = a.id and t.status = 'open')`,
  );
  return rows.map(({ id }) => id);
}

async function findUnbalanced(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    "select transaction_id as id from ledger_postings group by transaction_id, currency having sum(amount_cents) <> 0",
  );
  return rows.map(({ id }) => id);
}
