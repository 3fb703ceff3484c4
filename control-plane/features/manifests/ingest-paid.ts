import type { Outcome, Report } from "@caas/contract/report.ts";
import { sql } from "kysely";
import type { Transaction } from "../../store/database.ts";
import type { Engine, Received } from "./ingest-report.ts";
import type { LinkRow } from "./link-row.ts";

// The proof of a service that was bought, taken together with others: the car holds exactly what it should, and its
// report says so about the version that carries the change. Every other report is taken by itself.

export type Paid = {
  link: LinkRow;
  received: Received;
  activationId: string;
  outcome: Extract<Outcome, { result: "applied" }>;
};

/** `null`: it proves no bought service, or says something more that must be looked at. */
export function judgePaid(link: LinkRow, received: Received): Paid | null {
  const { active, outcome, seq, deferred }: Report = received.report;
  const { unproved_activation_id: activationId, unproved_version: version, manifest_hash: hash } = link;
  if (seq <= link.report_seq || deferred !== null || activationId === null) return null;
  if (outcome === null || outcome.result !== "applied") return null;
  if (outcome.version !== version || outcome.hash !== hash) return null;
  if (active.hash !== hash || active.version > link.manifest_version) return null;
  return { link, received, activationId, outcome };
}

/** The caller holds the cars' locks. */
export async function takePaid(
  { context, entitlements }: Engine,
  tx: Transaction,
  paid: readonly Paid[],
): Promise<void> {
  if (paid.length === 0) return;
  const vehicleIds = paid.map(({ link }) => link.vehicle_id);
  const reports = paid.map(({ received }) => received.report);
  await sql`
    with said as (
      select * from unnest(${vehicleIds}::uuid[], ${reports.map(({ seq }) => seq)}::int[],
                           ${reports.map(({ active }) => active.version)}::int[],
                           ${reports.map(({ active }) => active.hash)}::text[],
                           ${reports.map(({ keySetVersion }) => keySetVersion)}::int[],
                           ${paid.map(({ outcome }) => outcome.version)}::int[],
                           ${paid.map(({ received }) => received.token)}::text[])
        as said (vehicle_id, seq, active_version, active_hash, keys, proved_version, report)
    ), linked as (
      update vehicle_links as link
      set report_seq = said.seq, active_version = said.active_version, active_hash = said.active_hash,
          key_set_version = said.keys, unproved_version = null, unproved_activation_id = null
      from said where link.vehicle_id = said.vehicle_id
    ), proved as (
      update attempts as attempt
      set result = 'applied', ended_at = ${context.clock.now()}, report = said.report
      from said where attempt.vehicle_id = said.vehicle_id and attempt.version = said.proved_version
    )
    delete from manifest_dispatches as dispatch using said where dispatch.vehicle_id = said.vehicle_id`.execute(
    tx,
  );
  await entitlements.finishEndings(tx, vehicleIds);
  await context.publish(
    tx,
    "attemptApplied",
    paid.map(({ link, activationId, outcome }) => ({
      activationId,
      vehicleId: link.vehicle_id,
      version: outcome.version,
      appliedAt: new Date(outcome.appliedAt),
    })),
  );
  await context.publish(
    tx,
    "changePossible",
    vehicleIds.map((vehicleId) => ({ vehicleId })),
  );
}
