import { type Manifest, manifestHash } from "@caas/contract/manifest.ts";
import type { Outcome } from "@caas/contract/report.ts";
import { type ApplierParts, applyFrom, createChangeSteps, writeJournal } from "./change-steps.ts";
import type { Change } from "./journal.ts";
import { runLifecycle } from "./lifecycle.ts";
import { otherSlot, readSlotFiles, type SlotContent, type SlotName, slotFilesOf } from "./slots.ts";
import { endTerms, planTerms, type Terms } from "./terms.ts";

/** Processes changes one at a time; the caller never starts a second before the first has ended. */
export type Applier = {
  /**
   * Prepares an empty car, ends what a crash left open, and gives the car's systems the active configuration.
   * @returns why they did not take it, or `null`.
   */
  boot(): Promise<string | null>;
  /** Ends a change that a crash, or a disk that refused a write, left open; call before judging a manifest. */
  recover(): Promise<void>;
  /** Processes a manifest judged `process` that arrived at `startedMs` of the stopwatch; journals its outcome. */
  applyManifest(manifest: Manifest, startedMs: number): Promise<Outcome>;
  /** Takes entries whose term is over out of the car; whether anything changed. */
  removeEnded(): Promise<boolean>;
};

export function createApplier(parts: ApplierParts): Applier {
  const { journal, slots, time } = parts;

  async function activeSlot(): Promise<SlotName> {
    const active = await slots.active();
    if (active !== null) return active;
    await slots.stage("a", slotFilesOf({ version: 0, entries: [] }));
    await slots.activate("a");
    return "a";
  }

  async function recover(): Promise<void> {
    const { change } = journal.record;
    if (change === null) return;
    const carryOn = (open: Change) => createChangeSteps(parts, open, null, parts.stopwatchMs());
    if (change.failure !== null) return runLifecycle("failureFound", carryOn(change));
    if ((await slots.active()) === change.to) return runLifecycle("switchFound", carryOn(change));
    const failure = {
      reason: "interrupted",
      failureClass: "transient",
      detail: "the car restarted before the switch",
    } as const;
    return runLifecycle("intentFound", carryOn({ ...change, failure }));
  }

  async function process(
    subject: Pick<Change, "cause" | "hash" | "applyBefore">,
    content: SlotContent,
    terms: Terms,
    startedMs: number,
  ): Promise<void> {
    const from = await activeSlot();
    const change: Change = {
      ...subject,
      version: content.version,
      activeHash: manifestHash(content.entries),
      from,
      to: otherSlot(from),
      terms,
      failure: null,
    };
    const steps = createChangeSteps(parts, change, slotFilesOf(content), startedMs);
    await runLifecycle("changeAccepted", steps);
  }

  return {
    async boot() {
      await activeSlot();
      await recover();
      const slot = await activeSlot();
      const { hash } = readSlotFiles(await slots.read(slot));
      // What lies there is what is reported, also when something else than this agent changed it.
      if (hash !== journal.record.active.hash)
        await writeJournal(parts, ({ active }) => ({ active: { ...active, hash } }));
      return (await applyFrom(parts, slot))?.detail ?? null;
    },
    recover,
    async applyManifest(manifest, startedMs) {
      const { inForce, terms } = planTerms(manifest.entries, journal.record.terms, time.now());
      const { version, hash } = manifest;
      const applyBefore = earliest(manifest.entries.flatMap((entry) => entry.applyBefore ?? []));
      await process(
        { cause: "manifest", hash, applyBefore },
        { version, entries: inForce },
        terms,
        startedMs,
      );
      const { outcome } = journal.record;
      if (outcome?.version !== version) throw new Error("a change ended without an outcome");
      return outcome;
    },
    async removeEnded() {
      await recover();
      const terms = endTerms(journal.record.terms, time.now());
      if (terms === null) return false;
      const present = readSlotFiles(await slots.read(await activeSlot()));
      // The report of a damaged slot's hash brings a new version; nothing is guessed from the remains.
      if (present.kind === "damaged") return false;
      const { version, hash } = journal.record.active;
      const entries = present.content.entries.filter(({ id }) => terms[id]?.state !== "ended");
      await process(
        { cause: "termEnded", hash, applyBefore: null },
        { version, entries },
        terms,
        parts.stopwatchMs(),
      );
      return journal.record.active.hash !== hash;
    },
  };
}

function earliest(instants: readonly string[]): string | null {
  if (instants.length === 0) return null;
  return new Date(Math.min(...instants.map((instant) => Date.parse(instant)))).toISOString();
}
