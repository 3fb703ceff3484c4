import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import { stepsChannel } from "../../lifecycle/record-step.ts";
import type { Transaction } from "../../store/database.ts";
import { byteArray, plainArray } from "../../store/plain-array.ts";
import { dispatchChannel } from "./change-manifest.ts";
import { judgePaid, type Paid, takePaid } from "./ingest-paid.ts";
import { type Engine, type Ingested, ingestReport, type Received } from "./ingest-report.ts";
import type { LinkRow } from "./link-row.ts";
import { packProof } from "./plan-proofs.ts";

// The hot path: hundreds of reports in one transaction and a handful of statements. Only the reports that a healthy
// fleet sends all the time are taken together: a repeated "all is as it should be", the proof of a change that nobody
// pays for by itself (the plan, a roll-out), and the word of a car that has not yet heard of its newest version, as
// all say after a broker's restart. Every other one is taken by itself, under the same locks.

type Plainness = "converged" | "proves" | "behind";
type Plain = { link: LinkRow; received: Received; is: Plainness };

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
  const paid: Paid[] = [];
  const answers = new Map<Received, Ingested>();
  const single: Received[] = [];
  for (const one of received) {
    const link = links.get(one.vin);
    // A car that spoke twice in one batch is taken in its own order, one report after the other.
    const is = link !== undefined && timesSpoken.get(one.vin) === 1 ? judgePlain(link, one) : null;
    const proof = link !== undefined && timesSpoken.get(one.vin) === 1 ? judgePaid(link, one) : null;
    if (proof !== null) {
      paid.push(proof);
      answers.set(one, { kind: "taken", proved: true, failed: null, converged: true });
    } else if (link === undefined || is === null) single.push(one);
    else {
      plain.push({ link, received: one, is });
      answers.set(one, {
        kind: "taken",
        proved: is === "proves",
        failed: null,
        converged: is !== "behind",
      });
    }
  }
  if (plain.length > 0) await takePlain(engine, tx, plain);
  await takePaid(engine, tx, paid);
  for (const one of single) answers.set(one, await ingestReport(engine, tx, one));
  return received.map((one) => answers.get(one) ?? { kind: "unknownCar" });
}

async function lockLinks(tx: Transaction, received: readonly Received[]): Promise<Map<string, LinkRow>> {
  if (received.length === 0) return new Map();
  const rows = await tx
    .selectFrom("vehicle_links")
    .selectAll()
    .where(sql<boolean>`vin = any(${plainArray([...new Set(received.map(({ vin }) => vin))])}::text[])`)
    .orderBy("vin")
    .forUpdate()
    .execute();
  return new Map(rows.map((row) => [row.vin, row]));
}

/** Whether and as what a report can be taken with others; `null` for by itself. */
function judgePlain(link: LinkRow, { report }: Received): Plainness | null {
  const { active, outcome } = report;
  if (report.seq <= link.report_seq || report.deferred !== null) return null;
  if (active.version > link.manifest_version) return null;
  const holdsNewest = active.hash === link.manifest_hash;
  if (link.unproved_version === null) return holdsNewest ? "converged" : "behind";
  if (outcome?.version !== link.unproved_version) return "behind";
  if (link.unproved_activation_id !== null || outcome.result !== "applied" || !holdsNewest) return null;
  return outcome.hash === link.manifest_hash ? "proves" : null;
}

async function takePlain(engine: Engine, tx: Transaction, plain: readonly Plain[]): Promise<void> {
  const { context, entitlements } = engine;
  const proved = plain.filter(({ is }) => is === "proves").map(({ link }) => link.vehicle_id);
  const holding = plain.filter(({ is }) => is !== "behind").map(({ link }) => link.vehicle_id);
  const waiting = await writeSaid(context, tx, plain, proved);
  const behind = plain.filter(({ is }) => is === "behind");
  if (behind.length > 0) await dispatchToThoseBehind(engine, tx, behind);
  if (holding.length > 0) await entitlements.settleMany(tx, { holding, proved });
  // The slot is free again: whoever bought a service meanwhile is served now.
  for (const vehicleId of waiting) await context.publish(tx, "changePossible", [{ vehicleId }]);
}

/**
 * What the cars said, what is no longer on its way to them, their proofs and the steps these are.
 * @returns those of `proved` for whom a purchase waits
 */
async function writeSaid(
  context: Context,
  tx: Transaction,
  plain: readonly Plain[],
  proved: readonly string[],
): Promise<string[]> {
  const reports = plain.map(({ received }) => received.report);
  const provedVersions = plain.map(({ is, received }) =>
    is === "proves" ? (received.report.outcome?.version ?? null) : null,
  );
  const { rows } = await sql<{ vehicle_id: string | null }>`
    with said as materialized (
      select * from unnest(${plainArray(plain.map(({ link }) => link.vehicle_id))}::uuid[],
                           ${plainArray(reports.map(({ seq }) => seq))}::int[],
                           ${plainArray(reports.map(({ active }) => active.version))}::int[],
                           ${reports.map(({ active }) => active.hash)}::text[],
                           ${plainArray(reports.map(({ keySetVersion }) => keySetVersion))}::int[],
                           ${plain.map(({ is }) => is === "behind")}::boolean[],
                           ${plainArray(provedVersions)}::int[],
                           ${byteArray(plain.map((one) => (one.is === "proves" ? packProof(one) : null)))}::bytea[])
        as said (vehicle_id, seq, version, hash, keys, behind, proved_version, report)
    ), linked as (
      update vehicle_links as link
      set report_seq = said.seq, active_version = said.version, active_hash = said.hash,
          key_set_version = said.keys,
          unproved_version = case when said.behind then link.unproved_version end,
          unproved_activation_id = case when said.behind then link.unproved_activation_id end
      from said where link.vehicle_id = said.vehicle_id
    ), arrived as (
      delete from manifest_dispatches as dispatch using said
      where dispatch.vehicle_id = said.vehicle_id and not said.behind
    ), kept as (
      insert into plan_proofs (vehicle_id, version, report)
      select vehicle_id, proved_version, report from said where proved_version is not null
    ), told as (
      insert into steps (vehicle_id, event, automatic, actor_kind, actor_id, detail, at)
      select vehicle_id, 'planApplied', true, 'vehicle', vehicle_id::text,
             jsonb_build_object('version', proved_version), ${context.clock.now()}
      from said where proved_version is not null
    ), waiting as (
      select distinct vehicle_id from activations
      where vehicle_id = any(${plainArray(proved)}::uuid[]) and state in ('OTAQueue', 'RetryQueue')
    ), rung as materialized (
      select case when ${proved.length}::int > 0 then pg_notify(${stepsChannel}, '') end
    )
    select waiting.vehicle_id from rung left join waiting on true`.execute(tx);
  return rows.flatMap(({ vehicle_id: vehicleId }) => (vehicleId === null ? [] : [vehicleId]));
}

/** As for one car: what is on its way already goes again only to a car that lacks our keys. */
async function dispatchToThoseBehind(
  engine: Engine,
  tx: Transaction,
  behind: readonly Plain[],
): Promise<void> {
  const now = engine.context.clock.now();
  const idsOf = (some: readonly Plain[]) => some.map(({ link }) => link.vehicle_id);
  const withOldKeys = behind.filter(({ received }) => received.report.keySetVersion < engine.keySetVersion);
  await sql`
    with missing as (
      insert into manifest_dispatches (vehicle_id, due_at, sends)
      select vehicle_id, ${now}, 0 from unnest(${idsOf(behind)}::uuid[]) as next (vehicle_id)
      on conflict (vehicle_id) do nothing returning 1
    ), unreadable as (
      update manifest_dispatches set due_at = ${now}, sends = 0, first_sent_at = null
      where vehicle_id = any(${idsOf(withOldKeys)}::uuid[]) and sends > 0 returning 1
    )
    select pg_notify(${dispatchChannel}, '')
    where exists (select from missing) or exists (select from unreadable)`.execute(tx);
}
