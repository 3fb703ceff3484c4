import type { AgentParts } from "../agent-parts.ts";
import type { Reporter } from "../report/reporter.ts";
import type { Progress } from "./progress.ts";
import { nextTermEnd } from "./terms.ts";

/** Work that the car does unasked: it ends terms, and resumes a change that waited. */
export type WaitingWork = {
  scheduleTermEnd(): void;
  /** Removes entries whose term is over, and reports. */
  removeEnded(): Promise<void>;
  /** Judges the waiting change again, and reports if anything is new. */
  rejudge(): Promise<void>;
  /** Conditions in the car have changed: everything that may wait for them is judged again. */
  noticeConditions(): Promise<void>;
};

/** Time until a failed removal of an ended entry is retried (business time). */
const termRetryMs = 600_000;

export function createWaitingWork(
  parts: Pick<AgentParts, "journal" | "time" | "wakeUps" | "applier" | "events"> & {
    progress: Progress;
    reporter: Reporter;
  },
): WaitingWork {
  const { journal, time, wakeUps, applier, events, progress, reporter } = parts;

  function scheduleTermEnd(earliestMs = 0): void {
    const end = nextTermEnd(journal.record.terms);
    if (end === null) wakeUps.clear("termEnd");
    else wakeUps.set("termEnd", Math.max(earliestMs, end.getTime() - time.now().getTime()));
  }

  async function removeEnded(): Promise<void> {
    let isChanged = false;
    const isNew = await progress.follow(async () => {
      isChanged = await applier.removeEnded();
    });
    scheduleTermEnd(isChanged ? 0 : termRetryMs);
    if (isChanged) events.emit("termEnded");
    if (isChanged || isNew) await reporter.send();
  }

  async function rejudge(): Promise<void> {
    if (!(await progress.follow(() => applier.rejudge()))) return;
    scheduleTermEnd();
    await reporter.send();
  }

  return {
    scheduleTermEnd: () => scheduleTermEnd(),
    removeEnded,
    rejudge,
    async noticeConditions() {
      await rejudge();
      const end = nextTermEnd(journal.record.terms);
      if (end !== null && end.getTime() <= time.now().getTime()) await removeEnded();
    },
  };
}
