import { sql } from "kysely";
import { stepsChannel } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { type Engine, type Ingested, ingestReport, type Received } from "./ingest-report.ts";
import type { LinkRow } from "./link-row.ts";

// The hot path: hundreds of reports in one transaction and a handful of statements. Only the two reports that a
// healthy fleet sends all the time are taken together, a repeated "all is as it should be" and the proof of a
// change that nobody pays for by itself (the plan, a roll-out); every other one is taken by itself, under the same
// locks.

type Plain = { link: LinkRow; received: Received; proves: boolean };

/** Takes in verified reports, in any number. Idempotent by (vehicle, seq). The answers stand in the same order. */
export async function ingestReports(
  engine: Engine,
  tx: Transaction,
  received: readonly Received[],
): Promise<Ingested[]> {
  const links = await lockLinks(tx, received);
  const timesSpoken = new Map<string, number>();
  for (const { vin } of received) timesSpoken.set(vin, (timesSpoken.get(vin) ?? 0) + 1);
  const plain: Plain[] = [];
  const answers = new Map<Received, Ingested>();
  const single: Received[] = [];
  for (const one of received) {
    const link = links.get(one.vin);
    // A car that spoke twice in one batch is taken in its own order, one report after the other.
    const proves = link !== undefined && timesSpoken.get(one.vin) === 1 ? judgePlain(link, one) : null;
    if (link === undefined || proves === null) single.push(one);
    else {
      plain.push({ link, received: one, proves });
      answers.set(one, { kind: "taken", proved: proves, failed: null, converged: true });
    }
  }
  if (plain.length > 0) await takePlain(engine, tx, plain);
  for (const one of single) answers.set(one, await ingestReport(engine, tx, one));
  return received.map((one) => answers.get(one) ?? { kind: "unknownCar" });
}

async function lockLinks(tx: Transaction, received: readonly Received[]): Promise<Map<string, LinkRow>> {
  if (received.length === 0) return new Map();
  const rows = await tx
    .selectFrom("vehicle_links")
    .selectAll()
    .where("vin", "in", [...new Set(received.map(({ vin }) => vin))])
    .orderBy("vin")
    .forUpdate()
    .execute();
  return new Map(rows.map((row) => [row.vin, row]));
}

/**
 * Whether a report can be taken with others: `true` when it proves the unproved change, `false` when there is none
 * and the car holds what it should; `null` for everything else.
 */
function judgePlain(link: LinkRow, { report }: Received): boolean | null {
  const { active, outcome } = report;
  if (report.seq <= link.report_seq || report.deferred !== null) return null;
  if (active.hash !== link.manifest_hash || active.version > link.manifest_version) return null;
  if (link.unproved_version === null) return false;
  if (link.unproved_activation_id !== null || outcome === null || outcome.result !== "applied") return null;
  return outcome.version === link.unproved_version && outcome.hash === link.manifest_hash ? true : null;
}

async function takePlain(
  { context, entitlements }: Engine,
  tx: Transaction,
  plain: readonly Plain[],
): Promise<void> {
  const vehicleIds = plain.map(({ link }) => link.vehicle_id);
  const reports = plain.map(({ received }) => received.report);
  await sql`
    update vehicle_links as link
    set report_seq = said.seq, active_version = said.version, active_hash = said.hash,
        key_set_version = said.keys, unproved_version = null, unproved_activation_id = null
    from unnest(${vehicleIds}::uuid[], ${reports.map(({ seq }) => seq)}::int[],
                ${reports.map(({ active }) => active.version)}::int[], ${reports.map(({ active }) => active.hash)}::text[],
                ${reports.map(({ keySetVersion }) => keySetVersion)}::int[])
      as said (vehicle_id, seq, version, hash, keys)
    where link.vehicle_id = said.vehicle_id`.execute(tx);
  await tx.deleteFrom("manifest_dispatches").where("vehicle_id", "in", vehicleIds).execute();
  await entitlements.finishEndings(tx, vehicleIds);

  const proved = plain.filter(({ proves }) => proves);
  if (proved.length === 0) return;
  const provedIds = proved.map(({ link }) => link.vehicle_id);
  await entitlements.provePlans(tx, provedIds);
  await sql`
    insert into plan_proofs (vehicle_id, version, report)
    select * from unnest(${provedIds}::uuid[], ${proved.map(({ received }) => received.report.active.version)}::int[],
                         ${proved.map(({ received }) => received.token)}::text[])`.execute(tx);
  await sql`
    insert into steps (vehicle_id, event, automatic, actor_kind, actor_id, detail, at)
    select vehicle_id, 'planApplied', true, 'vehicle', vehicle_id::text, jsonb_build_object('version', version), ${context.clock.now()}
    from unnest(${provedIds}::uuid[], ${proved.map(({ received }) => received.report.active.version)}::int[])
      as proof (vehicle_id, version)`.execute(tx);
  await sql`select pg_notify(${stepsChannel}, '')`.execute(tx);

  // The slot is free again: whoever bought a service meanwhile is served now.
  const waiting = await tx
    .selectFrom("activations")
    .select("vehicle_id")
    .distinct()
    .where("vehicle_id", "in", provedIds)
    .where("state", "in", ["OTAQueue", "RetryQueue"])
    .execute();
  for (const { vehicle_id: vehicleId } of waiting) await context.publish(tx, "changePossible", { vehicleId });
}
