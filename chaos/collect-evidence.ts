import { listTheActivationsOfAVehicle, readTheManifestOfAVehicle } from "@caas/contract/client/generated.ts";
import { manifestEntrySchema } from "@caas/contract/manifest.ts";
import { forgedOffset } from "@caas/simulator/link/forger.ts";
import { readCommits } from "@caas/simulator/run/commits-file.ts";
import { forEachAtOnce } from "@caas/simulator/run/pace.ts";
import type pg from "pg";
import { withClient } from "../lab/database.ts";
import { gatewayStoreOf, readGatewayStore } from "../lab/gateway-books.ts";
import type { Asked, CarHolds, Entitled, Evidence, OpenTask, Shown } from "./evidence.ts";
import type { RehearsedCar, RehearsedPlatform } from "./rehearsed-platform.ts";

/** Requests to REST at one time. */
const askedAtOnce = 16;

/** What each owner is shown over REST: their activations, and what their car must hold. */
async function askOwners(
  cars: readonly RehearsedCar[],
): Promise<{ shown: Shown[]; wanted: Map<string, Pick<CarHolds, "wantedHash" | "wantedCodes">> }> {
  const shown: Shown[] = [];
  const wanted = new Map<string, Pick<CarHolds, "wantedHash" | "wantedCodes">>();
  await forEachAtOnce(cars, askedAtOnce, async ({ vin, vehicleId, owner }) => {
    const { activations } = await listTheActivationsOfAVehicle(vehicleId, owner);
    for (const { id, service, state, ended } of activations) {
      const withdrawnBecause = state === "ServiceActive" ? (ended?.reason ?? null) : null;
      shown.push({ activationId: id, vin, serviceCode: service.code, state, withdrawnBecause });
    }
    const { hash, entries } = await readTheManifestOfAVehicle(vehicleId, owner);
    wanted.set(vin, {
      wantedHash: hash,
      wantedCodes: entries.map((entry) => manifestEntrySchema.parse(entry).code),
    });
  });
  return { shown, wanted };
}

export async function collectEvidence(
  rehearsed: RehearsedPlatform,
  asked: readonly Asked[],
): Promise<Evidence> {
  const { shown, wanted } = await askOwners(rehearsed.cars);
  const cars = (await rehearsed.show()).map(
    ({ vin, hash, codes }): CarHolds => ({
      vin,
      hash,
      codes,
      ...(wanted.get(vin) ?? { wantedHash: null, wantedCodes: null }),
    }),
  );
  return withClient(rehearsed.databaseUrl, async (client) => {
    const { rows: believed } = await client.query<{ vin: string; version: number; seq: number }>(
      "select vin, greatest(manifest_version, active_version) as version, report_seq as seq from vehicle_links",
    );
    return {
      asked,
      shown,
      intents: readGatewayStore(gatewayStoreOf(rehearsed)),
      cars,
      commits: readCommits(rehearsed.commitsFile),
      forgedOffset,
      entitlements: await readEntitlements(client),
      tasks: await readOpenTasks(client),
      believed,
      stuck: await findStuck(client),
      unbalanced: await findUnbalanced(client),
    };
  });
}

/** Not final, and nothing will move it: no job, no due time of it or of its car's manifest, no open task. */
async function findStuck(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(
    `with job as (select payload->>'activationId' as activation, payload->>'paymentId' as payment
                  from jobs where attempts < max_attempts)
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

async function readEntitlements(client: pg.Client): Promise<Entitled[]> {
  const { rows } = await client.query<Entitled>(
    `select activation.id as "activationId", entitlement.state
     from activations activation join entitlements entitlement on entitlement.id = activation.entitlement_id`,
  );
  return rows;
}

async function readOpenTasks(client: pg.Client): Promise<OpenTask[]> {
  const { rows } = await client.query<OpenTask>(
    `select activation_id as "activationId", kind from tasks where status = 'open' and activation_id is not null`,
  );
  return rows;
}
