import type { Report } from "@caas/contract/report.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type Attempt, type Doubt, judgeReport } from "../../rules/report-judgement.ts";
import type { Transaction } from "../../store/database.ts";
import { type LinkRow, lockLinks } from "../../store/lock-links.ts";
import { applyJudgements, type Judged } from "./apply-judgements.ts";

export type Received = {
  vin: Vin;
  report: Report;
  token: string;
  /** The public proof key that `token` was verified with. */
  proofKey: string;
};

/** What a report changed. */
export type Ingested =
  | { kind: "unknownCar" }
  /** An older or repeated sequence number: no effect. */
  | { kind: "repeated" }
  /** No effect, and a person hears of it. */
  | { kind: "doubted"; because: Doubt }
  /** Signed by the key of an identity that has ended since it was verified. */
  | { kind: "formerIdentity" }
  | { kind: "taken"; proved: boolean; failed: string | null; converged: boolean };

/**
 * Takes in verified reports, in any number: locks their cars, judges each, and does what was judged by statements over
 * all of them. Idempotent by (vehicle, seq). The answers are in the same order.
 *
 * @param keySetVersion of the key set that signs what we send
 */
export async function ingestReports(
  context: Context,
  keySetVersion: number,
  tx: Transaction,
  received: readonly Received[],
): Promise<Ingested[]> {
  const answers = new Map<Received, Ingested>();
  const now = context.clock.now();
  for (const round of inRounds(received)) {
    const links = await lockLinks(tx, { vins: round.map(({ vin }) => vin) });
    const byVin = new Map([...links.values()].map((link) => [link.vin, link]));
    const judged: { one: Received; car: Judged }[] = [];
    const doubted: { vehicleId: string; doubt: Doubt }[] = [];
    for (const one of round) {
      const link = byVin.get(one.vin);
      if (link === undefined) {
        answers.set(one, { kind: "unknownCar" });
        continue;
      }
      if (link.proof_public_key !== one.proofKey) {
        answers.set(one, { kind: "formerIdentity" });
        continue;
      }
      const judgement = judgeReport(known(link), attemptOf(link), one.report, keySetVersion, now);
      if (judgement.kind === "ignored") answers.set(one, { kind: "repeated" });
      else if (judgement.kind === "doubted") {
        answers.set(one, judgement);
        doubted.push({ vehicleId: link.vehicle_id, doubt: judgement.because });
      } else judged.push({ one, car: { link, said: one, ...judgement } });
    }
    await context.publish(tx, "carDoubted", doubted);
    const holding = await applyJudgements(
      context,
      tx,
      judged.map(({ car }) => car),
    );
    for (const { one, car } of judged)
      answers.set(one, {
        kind: "taken",
        proved: car.verdict.kind === "proved",
        failed: car.verdict.kind === "failed" ? car.verdict.reason : null,
        converged: holding.has(car.link.vehicle_id),
      });
  }
  return received.map((one) => answers.get(one) ?? { kind: "unknownCar" });
}

function known(link: LinkRow) {
  return {
    manifestVersion: link.manifest_version,
    manifestHash: link.manifest_hash,
    reportSeq: link.report_seq,
    reportSentAt: link.report_sent_at,
    reportTakenAt: link.report_taken_at,
  };
}

export function attemptOf(link: LinkRow): Attempt | null {
  const { unproved_version: version, unproved_activation_id: activationId, unproved_since: since } = link;
  return version === null ? null : { version, activationId, since };
}

/** What one car said is judged in its order: a round has at most one report of each. */
function inRounds(received: readonly Received[]): Received[][] {
  const rounds: Received[][] = [];
  const spoken = new Map<Vin, number>();
  for (const one of received) {
    const round = spoken.get(one.vin) ?? 0;
    spoken.set(one.vin, round + 1);
    const others = rounds[round];
    if (others === undefined) rounds.push([one]);
    else others.push(one);
  }
  return rounds;
}
