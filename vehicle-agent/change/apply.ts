import type { Manifest, ManifestEntry } from "@caas/contract/manifest.ts";
import type { Outcome } from "@caas/contract/report.ts";
import { type ApplierParts, applyFrom, createChangeSteps, writeJournal } from "./change-steps.ts";
import type { DeferralReason } from "./conditions.ts";
import type { Change } from "./journal.ts";
import { type EventIn, type LifecycleState, type RestingState, runLifecycle } from "./lifecycle.ts";
import {
  otherSlot,
  type PlannedSlot,
  planSlot,
  readSlotFiles,
  type SlotContent,
  type SlotName,
} from "./slots.ts";
import { endTerms, planTerms, type Terms } from "./terms.ts";

/** A staged change that waits until the car can be changed. */
export type Deferral = { version: number; hash: string; reason: DeferralReason; applyBefore: string | null };

/** Processes changes one at a time; the caller must not start a second before the first rests. */
export type Applier = {
  /** The lifecycle state of the current change. */
  readonly state: LifecycleState;
  /** Whether a change is neither finished nor waiting, so that `recover` must end it. */
  readonly isOpen: boolean;
  /** The change that waits, if one does. */
  readonly deferral: Deferral | null;
  /**
   * Prepares an empty car, ends a change that a crash left open, and applies the active configuration.
   * A deferred change continues to wait.
   * @returns why the car's systems did not take it, or `null`.
   */
  boot(): Promise<string | null>;
  /** Ends a change that a crash, or a disk that refused a write, left open; call before judging a manifest. */
  recover(): Promise<void>;
  /**
   * Processes a manifest judged `process` that arrived at `startedMs` of the stopwatch; one that waits is
   * superseded by it.
   * @returns its journalled outcome, or `null` when it is deferred and has none yet
   */
  applyManifest(manifest: Manifest, startedMs: number): Promise<Outcome | null>;
  /** Judges a waiting change by the current conditions and its `applyBefore`. */
  rejudge(): Promise<void>;
  /**
   * Removes entries whose term is over, unless the car is moving. A waiting change is staged again without them.
   * @returns whether anything changed
   */
  removeEnded(): Promise<boolean>;
  /**
   * Brings back entries of the active version that a wrong clock had ended too early: their term, judged by the time
   * that is known now, is not over. Nothing changes while another change waits, or the car is moving.
   * @returns whether anything changed
   */
  restoreEnded(manifest: Manifest): Promise<boolean>;
};

type Subject = Pick<Change, "cause" | "hash" | "applyBefore">;

export function createApplier(parts: ApplierParts): Applier {
  const { journal, slots, adapter, time } = parts;
  let state: LifecycleState = "idle";

  async function run<R extends RestingState>(
    from: R,
    event: EventIn<R>,
    change: Change,
    planned: PlannedSlot | null = null,
    startedMs = parts.stopwatchMs(),
  ): Promise<void> {
    const steps = createChangeSteps(parts, change, planned, startedMs);
    await runLifecycle(from, event, steps, (entered) => {
      state = entered;
    });
  }

  async function activeSlot(): Promise<SlotName> {
    const active = await slots.active();
    if (active !== null) return active;
    const holding = await findHolding();
    if (holding !== null) return holding;
    await slots.stage("a", planSlot({ version: 0, entries: [] }).files);
    await slots.activate("a");
    return "a";
  }

  /** Switches to the slot that holds what the journal says, where one does: a lost link costs nothing. */
  async function findHolding(): Promise<SlotName | null> {
    const { version, hash } = journal.record.active;
    for (const slot of ["a", "b"] as const) {
      const found = readSlotFiles(await slots.read(slot));
      if (found.kind === "damaged" || found.hash !== hash || found.content.version !== version) continue;
      await slots.activate(slot);
      return slot;
    }
    return null;
  }

  /**
   * The active slot after a boot. What it holds is what is reported, also when it was damaged, or changed by something
   * other than this agent: then as version 0, because no version has this content, and a version above heals it.
   */
  async function inspectSlot(): Promise<SlotName> {
    const slot = await activeSlot();
    const { hash } = readSlotFiles(await slots.read(slot));
    if (hash === journal.record.active.hash) return slot;
    const holding = await findHolding();
    if (holding !== null) return holding;
    await writeJournal(parts, () => ({ active: { version: 0, hash } }));
    parts.onDamage?.();
    return slot;
  }

  const isOpen = (): boolean => journal.record.change !== null && state !== "deferred";

  async function recover(): Promise<void> {
    const { change } = journal.record;
    if (change === null || !isOpen()) return;
    if (change.failure !== null) return run("idle", "failureFound", change);
    // Checked before `deferral`: a change that had waited keeps its reason until it is committed.
    if ((await slots.active()) === change.to) return run("idle", "switchFound", change);
    if (change.deferral !== null) return run("idle", "deferralFound", change);
    const failure = {
      reason: "interrupted",
      failureClass: "transient",
      detail: "the car restarted before the switch",
    } as const;
    return run("idle", "intentFound", { ...change, failure });
  }

  async function process(
    { cause, hash, applyBefore }: Subject,
    planned: PlannedSlot,
    terms: Terms,
    startedMs: number,
  ): Promise<void> {
    const from = await activeSlot();
    const { content, hash: activeHash } = planned.reading;
    const change: Change = {
      cause,
      hash,
      applyBefore,
      version: content.version,
      activeHash,
      from,
      to: otherSlot(from),
      terms,
      failure: null,
      deferral: null,
    };
    await run("idle", "changeAccepted", change, planned, startedMs);
  }

  /** The waiting change with its staged content; afterwards nothing waits. */
  async function takeBackDeferred(): Promise<{ change: Change; staged: SlotContent } | null> {
    const { change } = journal.record;
    if (change === null || state !== "deferred") return null;
    const reading = readSlotFiles(await slots.read(change.to));
    await run("deferred", "superseded", change);
    return reading.kind === "intact" ? { change, staged: reading.content } : null;
  }

  /** What of the manifest is in force by the time that is known now. */
  function planManifest({ version, hash, entries }: Manifest): { planned: PlannedSlot; terms: Terms } {
    const { inForce, terms } = planTerms(entries, journal.record.terms, time.now());
    // If no term is over, the active configuration has the manifest's own hash, which is already verified.
    const isWhole = inForce.length === entries.length;
    return { planned: planSlot({ version, entries: inForce }, isWhole ? hash : undefined), terms };
  }

  const isMoving = async (): Promise<boolean> => (await adapter.conditions?.())?.moving === true;

  return {
    get state() {
      return state;
    },
    get isOpen() {
      return isOpen();
    },
    get deferral() {
      const { change } = journal.record;
      if (state !== "deferred" || change === null || change.deferral === null) return null;
      const { version, hash, deferral: reason, applyBefore } = change;
      return { version, hash, reason, applyBefore };
    },
    async boot() {
      await activeSlot();
      await recover();
      return (await applyFrom(parts, await inspectSlot()))?.detail ?? null;
    },
    recover,
    async applyManifest(manifest, startedMs) {
      await takeBackDeferred();
      const { version, hash } = manifest;
      const applyBefore = earliest(manifest.entries.flatMap((entry) => entry.applyBefore ?? []));
      const { planned, terms } = planManifest(manifest);
      await process({ cause: "manifest", hash, applyBefore }, planned, terms, startedMs);
      if (state === "deferred") return null;
      const { outcome } = journal.record;
      if (outcome?.version !== version) throw new Error("a change ended without an outcome");
      return outcome;
    },
    async rejudge() {
      await recover();
      const { change } = journal.record;
      if (change !== null && state === "deferred") await run("deferred", "conditionsChanged", change);
    },
    async removeEnded() {
      await recover();
      const now = time.now();
      const terms = endTerms(journal.record.terms, now);
      if (terms === null) return false;
      // Nothing is switched off while the car is driven.
      if (await isMoving()) return false;
      const present = readSlotFiles(await slots.read(await activeSlot()));
      // Reporting a damaged slot's hash brings a new version; nothing is guessed from its content.
      if (present.kind === "damaged" || journal.record.active.version === 0) return false;
      const waited = await takeBackDeferred();
      const { version, hash } = journal.record.active;
      await process(
        { cause: "termEnded", hash, applyBefore: null },
        planSlot({ version, entries: withoutEnded(present.content.entries, terms) }),
        terms,
        parts.stopwatchMs(),
      );
      const isChanged = journal.record.active.hash !== hash;
      if (waited !== null) {
        const { change, staged } = waited;
        const later = endTerms(change.terms, now) ?? change.terms;
        const entries = withoutEnded(staged.entries, later);
        await process(change, planSlot({ version: change.version, entries }), later, parts.stopwatchMs());
      }
      return isChanged;
    },
    async restoreEnded(manifest) {
      await recover();
      const { active } = journal.record;
      if (active.version !== manifest.version || active.hash === manifest.hash) return false;
      if (state === "deferred" || (await isMoving())) return false;
      const { planned, terms } = planManifest(manifest);
      if (planned.reading.hash === active.hash) return false;
      const { hash } = manifest;
      await process({ cause: "termEnded", hash, applyBefore: null }, planned, terms, parts.stopwatchMs());
      return journal.record.active.hash !== active.hash;
    },
  };
}

function withoutEnded(entries: readonly ManifestEntry[], terms: Terms): ManifestEntry[] {
  return entries.filter(({ id }) => terms[id]?.state !== "ended");
}

function earliest(instants: readonly string[]): string | null {
  if (instants.length === 0) return null;
  return new Date(Math.min(...instants.map((instant) => Date.parse(instant)))).toISOString();
}
