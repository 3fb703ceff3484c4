import { cutText } from "@caas/contract/outside-text.ts";
import type { FailureReason, Outcome } from "@caas/contract/report.ts";
import { type CarAdapter, configurationIn } from "../adapters/adapter.ts";
import type { TrustedTime } from "../clock/trusted-time.ts";
import type { Failpoint } from "../failpoints.ts";
import { type DeferralReason, deferralOf } from "./conditions.ts";
import type { Change, ChangeFailure, Journal, JournalRecord } from "./journal.ts";
import type { LifecycleSteps } from "./lifecycle.ts";
import {
  type ConfigurationSlots,
  type PlannedSlot,
  readPlannedSlot,
  readSlotFiles,
  type SlotName,
} from "./slots.ts";
import { startTerms } from "./terms.ts";

export type ApplierParts = {
  journal: Journal;
  slots: ConfigurationSlots;
  adapter: CarAdapter;
  time: TrustedTime;
  failpoint: Failpoint;
  /** The active slot does not hold what the journal says, and no other does. */
  onDamage?: () => void;
  /** Real monotonic ms, for the timings in an outcome. */
  stopwatchMs: () => number;
};

/** Every write includes the trusted time, so that it survives a reboot. */
export function writeJournal(
  { journal, time }: Pick<ApplierParts, "journal" | "time">,
  patch: (record: JournalRecord) => Partial<JournalRecord>,
): Promise<JournalRecord> {
  return journal.write((record) => ({
    ...patch(record),
    trustedTimeMs: time.highestMs(),
    lastSignedMs: time.lastSignedMs(),
  }));
}

/**
 * The work of one change, one step per state of the lifecycle. `planned` is `null` when the change is resumed
 * and nothing is left to stage; `startedMs` is the arrival of its message on the stopwatch.
 */
export function createChangeSteps(
  parts: ApplierParts,
  change: Change,
  planned: PlannedSlot | null,
  startedMs: number,
): LifecycleSteps {
  const { journal, slots, adapter, time } = parts;
  const spentMs = (): number => Math.max(0, Math.round((parts.stopwatchMs() - startedMs) * 10) / 10);
  const timings: Outcome["timings"] = { verifiedMs: spentMs() };
  let failure: ChangeFailure | null = change.failure;
  // True as long as the car has its former configuration after a failure.
  let rolledBack = true;
  let obstacle: DeferralReason | null = null;

  const fail = (reason: FailureReason, failureClass: ChangeFailure["failureClass"], detail: string): void => {
    failure = { reason, failureClass, detail: cutText(detail, 500) };
  };

  function isLate(): boolean {
    if (change.applyBefore === null || time.now().getTime() <= Date.parse(change.applyBefore)) return false;
    fail("applyBeforePassed", "permanent", `was to be applied before ${change.applyBefore}`);
    return true;
  }

  return {
    async recording() {
      await writeJournal(parts, () => ({ change }));
      parts.failpoint("afterIntent");
      return "intentRecorded";
    },
    async admitting() {
      if (isLate()) return "tooLate";
      if (adapter.check === undefined || planned === null) return "admitted";
      // As it will read back, before anything is written: a configuration that does not is rejected.
      const asked = configurationIn(readSlotFiles(planned.files), slots.directoryOf(change.to));
      if (asked.kind === "damaged") {
        fail("stagingFailed", "permanent", asked.detail);
        return "rejected";
      }
      const verdict = await adapter.check(asked.configuration);
      if (verdict.kind === "ok") return "admitted";
      fail("adapterRejected", "permanent", verdict.detail);
      return "rejected";
    },
    async staging() {
      try {
        await slots.stage(change.to, planned?.files ?? new Map());
      } catch (error) {
        fail("stagingFailed", "transient", wordsOf(error));
        return "stagingFailed";
      }
      timings.stagedMs = spentMs();
      parts.failpoint("afterStage");
      return "staged";
    },
    async judging() {
      if (isLate()) return "tooLate";
      if (planned === null && !(await isStaged(parts, change))) {
        fail("interrupted", "transient", "what was staged is not there any more");
        return "stagingLost";
      }
      // Neither an app's lock nor a low battery prolongs an ended term; driving was judged before this began.
      if (change.cause === "termEnded" || adapter.conditions === undefined) return "inTime";
      obstacle = deferralOf(await adapter.conditions());
      return obstacle === null ? "inTime" : "obstructed";
    },
    async deferring() {
      if (journal.record.change?.deferral !== obstacle)
        await writeJournal(parts, () => ({ change: { ...change, deferral: obstacle } }));
      parts.failpoint("afterDeferral");
      return "deferralRecorded";
    },
    async forgetting() {
      await writeJournal(parts, () => ({ change: null }));
      parts.failpoint("afterForgetting");
      return "forgotten";
    },
    async switching() {
      try {
        await slots.activate(change.to);
      } catch (error) {
        fail("switchFailed", "transient", wordsOf(error));
        return "switchFailed";
      }
      timings.switchedMs = spentMs();
      parts.failpoint("afterSwitch");
      return "switched";
    },
    async applying() {
      const problem = await applyFrom(parts, change.to, planned);
      if (problem === null) return "taken";
      fail(problem.reason, "transient", problem.detail);
      return "refused";
    },
    async checking() {
      const illness = await findIllness(parts, change, planned);
      if (illness !== null) {
        fail(illness.reason, "transient", illness.detail);
        return "unhealthy";
      }
      timings.checkedMs = spentMs();
      parts.failpoint("afterHealthCheck");
      return "healthy";
    },
    async committing() {
      if (isLate()) return "tooLate";
      const now = time.now();
      const { version, hash, activeHash } = change;
      const outcome = { result: "applied", version, hash, appliedAt: now.toISOString(), timings } as const;
      await writeJournal(parts, (record) => ({
        active: { version, hash: activeHash },
        terms: startTerms(change.terms, now),
        change: null,
        outcome: change.cause === "manifest" ? outcome : record.outcome,
      }));
      parts.failpoint("afterOutcome");
      return "committed";
    },
    async rollingBack() {
      parts.failpoint("beforeRollBack");
      await writeJournal(parts, () => ({ change: { ...change, failure } }));
      await slots.activate(change.from);
      rolledBack = (await applyFrom(parts, change.from)) === null;
      parts.failpoint("afterRollBack");
      return "rolledBack";
    },
    async abandoning() {
      if (failure === null) throw new Error("a change was abandoned without a reason");
      const { version, hash } = change;
      const outcome = { result: "failed", version, hash, ...failure, rolledBack, timings } as const;
      await writeJournal(parts, (record) => ({
        change: null,
        outcome: change.cause === "manifest" ? outcome : record.outcome,
      }));
      parts.failpoint("afterOutcome");
      return "committed";
    },
  };
}

/** Whether a change that waited is still in the other slot as it was written. */
async function isStaged({ slots }: Pick<ApplierParts, "slots">, change: Change): Promise<boolean> {
  const reading = readSlotFiles(await slots.read(change.to));
  return (
    reading.kind === "intact" &&
    reading.hash === change.activeHash &&
    reading.content.version === change.version
  );
}

/** Applies the content of `slot`. @returns `null`, or why the car's systems did not take it */
export async function applyFrom(
  { slots, adapter }: Pick<ApplierParts, "slots" | "adapter">,
  slot: SlotName,
  planned: PlannedSlot | null = null,
): Promise<{ reason: "healthCheckFailed" | "adapterRejected"; detail: string } | null> {
  const found = readPlannedSlot(await slots.read(slot), planned);
  const reading = configurationIn(found, slots.directoryOf(slot));
  if (reading.kind === "damaged") return { reason: "healthCheckFailed", detail: reading.detail };
  try {
    await adapter.apply(reading.configuration);
    return null;
  } catch (error) {
    return { reason: "adapterRejected", detail: wordsOf(error) };
  }
}

type Illness = { reason: "healthCheckFailed" | "probeFailed"; detail: string };

/** Trusts the disk and the car, not the memory of this process. */
async function findIllness(
  { slots, adapter }: ApplierParts,
  change: Change,
  planned: PlannedSlot | null,
): Promise<Illness | null> {
  const reading = readPlannedSlot(await slots.read((await slots.active()) ?? change.from), planned);
  if (reading.kind === "damaged") return { reason: "healthCheckFailed", detail: reading.detail };
  if (reading.hash !== change.activeHash || reading.content.version !== change.version)
    return { reason: "healthCheckFailed", detail: "the active slot does not hold this version" };
  try {
    const health = await adapter.probe();
    return health.healthy ? null : { reason: "probeFailed", detail: health.reason };
  } catch (error) {
    return { reason: "probeFailed", detail: wordsOf(error) };
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
