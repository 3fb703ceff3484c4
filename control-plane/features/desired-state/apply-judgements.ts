import type { Report } from "@caas/contract/report.ts";
import { sql } from "kysely";
import type { Context } from "../../lifecycle/context.ts";
import type { Standing, Verdict } from "../../rules/report-judgement.ts";
import type { Transaction } from "../../store/database.ts";
import type { LinkRow } from "../../store/lock-links.ts";
import { byteArray, plainArray, sparseArray } from "../../store/plain-array.ts";
import { sendToThoseBehind, setDispatches } from "./dispatches.ts";
import { packProof } from "./plan-proofs.ts";
import { settle } from "./settle.ts";
import { tellVerdicts } from "./tell-verdicts.ts";
import { keepUnderWay, writeVersions } from "./write-versions.ts";

/** A car under its lock, and what its report, or its silence, was judged to mean. */
export type Judged = {
  link: LinkRow;
  /** `null`: the car said nothing. */
  said: { report: Report; token: string } | null;
  verdict: Verdict;
  standing: Standing;
  lacksTime: boolean;
};

/** A staged version that waits for the car to be parked or charged is asked about again after this. */
const deferralPatienceMs = 60 * 60 * 1_000;

/**
 * Does what was judged, for any number of cars with a handful of statements. At most one judgement per car.
 *
 * @returns the cars that hold exactly what they should
 */
export async function applyJudgements(
  context: Context,
  tx: Transaction,
  judged: readonly Judged[],
): Promise<ReadonlySet<string>> {
  if (judged.length === 0) return new Set();
  const now = context.clock.now();
  const idsIn = (standing: Standing) =>
    judged.flatMap((one) => (one.standing === standing ? [one.link.vehicle_id] : []));
  await writeSaid(tx, judged, now);
  const lackingTime = judged.flatMap(({ link, standing, lacksTime }) =>
    lacksTime && standing === "holds" ? [link.vehicle_id] : [],
  );
  const behind = [...idsIn("behind"), ...lackingTime];
  await sendToThoseBehind(tx, { behind, lackingKeys: idsIn("lacksKeys") }, now);
  await setDispatches(tx, idsIn("defers"), new Date(now.getTime() + deferralPatienceMs));
  const holding = [...idsIn("holds"), ...(await writeNextVersions(context, tx, judged))];
  await settle(context, tx, {
    holding,
    plans: judged.flatMap(({ link, verdict }) =>
      verdict.kind === "proved" && verdict.attempt.activationId === null ? [link.vehicle_id] : [],
    ),
    services: judged.flatMap(({ verdict }) =>
      verdict.kind === "proved" && verdict.attempt.activationId !== null
        ? [{ activationId: verdict.attempt.activationId, appliedAt: verdict.appliedAt }]
        : [],
    ),
  });
  await tellVerdicts(context, tx, judged);
  return new Set(holding);
}

/** The link row as it is after what was judged: what the car said of itself, and no change that is decided. */
function linkAfter({ link, said, verdict }: Judged, now: Date): LinkRow {
  return {
    ...link,
    ...(said === null
      ? {}
      : {
          report_seq: said.report.seq,
          report_sent_at: storableTime(said.report.sentAt),
          report_taken_at: now,
          active_version: said.report.active.version,
          active_hash: said.report.active.hash,
          key_set_version: said.report.keySetVersion,
        }),
    ...(verdict.kind === "none"
      ? {}
      : { unproved_version: null, unproved_activation_id: null, unproved_since: null }),
  };
}

/** The database knows no year 0, and what came before anything was built tells nothing. */
function storableTime(said: string): Date {
  return new Date(Math.max(Date.parse(said), 0));
}

/** What the cars said, how their attempts ended, the proofs, and what is no longer on its way to them. */
async function writeSaid(tx: Transaction, judged: readonly Judged[], now: Date): Promise<void> {
  const links = judged.map((one) => linkAfter(one, now));
  const ended = judged.map(({ said, verdict }) => {
    if (verdict.kind === "none") return null;
    const isOfPlan = verdict.attempt.activationId === null;
    return {
      version: verdict.attempt.version,
      result: isOfPlan ? null : verdict.kind === "proved" ? "applied" : "failed",
      reason: verdict.kind === "failed" ? verdict.reason : null,
      failureClass: verdict.kind === "failed" ? verdict.failureClass : null,
      token: isOfPlan ? null : (said?.token ?? null),
    };
  });
  const proofs = judged.map(({ link, said, verdict }) =>
    said !== null && verdict.kind === "proved" && verdict.attempt.activationId === null
      ? packProof(link, said.report, said.token)
      : null,
  );
  // A car that said it failed has left the version; from a silent one it has to be taken back.
  const isOver = judged.map(
    ({ said, standing }) => standing === "holds" || (standing === "failed" && said !== null),
  );
  await sql`
    with said as materialized (
      select * from unnest(${plainArray(links.map((link) => link.vehicle_id))}::uuid[],
                           ${plainArray(links.map((link) => link.report_seq))}::int[],
                           ${sparseArray(links.map((link) => link.report_sent_at?.getTime() ?? null))}::float8[],
                           ${sparseArray(links.map((link) => link.report_taken_at?.getTime() ?? null))}::float8[],
                           ${plainArray(links.map((link) => link.active_version))}::int[],
                           ${plainArray(links.map((link) => link.active_hash))}::text[],
                           ${plainArray(links.map((link) => link.key_set_version))}::int[],
                           ${plainArray(isOver)}::boolean[],
                           ${sparseArray(ended.map((one) => one?.version ?? null))}::int[],
                           ${sparseArray(ended.map((one) => one?.result ?? null))}::text[],
                           ${sparseArray(ended.map((one) => one?.reason ?? null))}::text[],
                           ${sparseArray(ended.map((one) => one?.failureClass ?? null))}::text[],
                           ${sparseArray(ended.map((one) => one?.token ?? null))}::text[],
                           ${byteArray(proofs)}::bytea[])
        as said (vehicle_id, seq, sent_ms, taken_ms, version, hash, keys, is_over, ended_version, result, reason, failure_class, token,
                 proof)
    ), linked as (
      update vehicle_links as link
      set report_seq = said.seq, report_sent_at = to_timestamp(said.sent_ms / 1000),
          report_taken_at = to_timestamp(said.taken_ms / 1000), active_version = said.version, active_hash = said.hash,
          key_set_version = said.keys,
          unproved_version = case when ended_version is null then link.unproved_version end,
          unproved_activation_id = case when ended_version is null then link.unproved_activation_id end,
          unproved_since = case when ended_version is null then link.unproved_since end
      from said where link.vehicle_id = said.vehicle_id
    ), ended as (
      update attempts as attempt
      set result = said.result, ended_at = ${now}, reason = said.reason, failure_class = said.failure_class,
          report = said.token
      from said
      where said.result is not null and attempt.vehicle_id = said.vehicle_id
        and attempt.version = said.ended_version
    ), kept as (
      insert into plan_proofs (vehicle_id, version, report)
      select vehicle_id, ended_version, proof from said where proof is not null
    )
    delete from manifest_dispatches as dispatch using said
    where dispatch.vehicle_id = said.vehicle_id and said.is_over`.execute(tx);
}

/**
 * The versions that leave a failed change out (during a backoff the entry is in no manifest), those above what cars
 * that are ahead of us have, and those that bring damaged cars all of it anew.
 *
 * @returns the cars that hold what the first of these say
 */
async function writeNextVersions(
  context: Context,
  tx: Transaction,
  judged: readonly Judged[],
): Promise<string[]> {
  const now = context.clock.now();
  const failed = judged.filter(({ standing }) => standing === "failed");
  const renewed = judged
    .filter(({ standing }) => standing === "ahead" || standing === "damaged")
    .map((one) => linkAfter(one, now));
  if (failed.length + renewed.length === 0) return [];
  const links = await writeVersions(context, tx, [
    ...failed.map((one) => ({ link: linkAfter(one, now), unproved: null })),
    ...(await keepUnderWay(tx, renewed)),
  ]);
  return failed.flatMap(({ said, link: { vehicle_id: vehicleId } }) =>
    links.get(vehicleId)?.manifest_hash === said?.report.active.hash ? [vehicleId] : [],
  );
}
