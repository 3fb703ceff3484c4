import { failureClasses, failureReasons, outcomeSchema, reportSchema } from "@caas/contract/report.ts";
import * as z from "zod";
import { readIntact } from "../storage/read-intact.ts";
import type { AgentStorage } from "../storage/storage.ts";
import { termsSchema } from "./terms.ts";

// The car's memory of its work. The guarantee of the whole agent rests on the order of its writes:
// intent, then the switch (which the active slot itself records), then the outcome in one write.

const failureSchema = z.strictObject({
  reason: z.enum(failureReasons),
  failureClass: z.enum(failureClasses),
  detail: z.string().max(500),
});
export type ChangeFailure = z.infer<typeof failureSchema>;

const changeSchema = z.strictObject({
  /** A manifest's change ends in an outcome; an ended term only changes the active configuration. */
  cause: z.enum(["manifest", "termEnded"]),
  version: z.int().min(1),
  /** Of the manifest, as the outcome names it. */
  hash: z.string().length(43),
  /** Of the entries in force, as the slot must read back. */
  activeHash: z.string().length(43),
  from: z.enum(["a", "b"]),
  to: z.enum(["a", "b"]),
  /** Earliest of the manifest's entries. */
  applyBefore: z.iso.datetime().nullable(),
  /** Terms once committed. */
  terms: termsSchema,
  /** Written before rolling back, so that a crash there keeps the true reason. */
  failure: failureSchema.nullable(),
  /** Why it waits, staged, for the car; `null` once it continues. Older journals do not have it. */
  deferral: reportSchema.shape.deferred.unwrap().shape.reason.nullable().default(null),
});
export type Change = z.infer<typeof changeSchema>;

const journalSchema = z.strictObject({
  /** Of the last report. */
  seq: z.int().min(0),
  /** Of the last connection. */
  connection: z.int().min(0),
  /** `TrustedTime.highestMs` at the last write. */
  trustedTimeMs: z.int().min(0),
  /** `TrustedTime.lastSignedMs` at the last write; older journals have none. */
  lastSignedMs: z.int().min(0).optional(),
  active: z.strictObject({ version: z.int().min(0), hash: z.string().length(43) }),
  terms: termsSchema,
  /** The current change; `null` when the car is at rest. */
  change: changeSchema.nullable(),
  /** Of the newest version ever processed. */
  outcome: outcomeSchema.nullable(),
});
export type JournalRecord = z.infer<typeof journalSchema>;

export type Journal = {
  readonly record: JournalRecord;
  /** Writes the changes of `patch`, one write after another; the record changes only when it is durable. */
  write(patch: (record: JournalRecord) => Partial<JournalRecord>): Promise<JournalRecord>;
};

/** The name of the journal among the stored texts. */
export const journalName = "journal.json";

/** A car without memory must not guess: it must be enrolled again. */
export class JournalLost extends Error {
  override name = "JournalLost";
}

/** @throws JournalLost when the stored journal is damaged; it is set aside */
export async function openJournal(storage: AgentStorage, emptyHash: string): Promise<Journal> {
  const stored = await readIntact(storage, journalName, (text) => journalSchema.parse(JSON.parse(text)));
  if (stored === null && storage.damaged.includes(journalName))
    throw new JournalLost(`${journalName} was damaged; the car must be enrolled again`);
  let record: JournalRecord = stored ?? newRecord(emptyHash, 0);
  let last: Promise<unknown> | null = null;

  async function writeNow(patch: (record: JournalRecord) => Partial<JournalRecord>): Promise<JournalRecord> {
    const next = { ...record, ...patch(record) };
    if (storage.writeJson === undefined) await storage.write(journalName, JSON.stringify(next));
    else await storage.writeJson(journalName, next);
    record = next;
    return next;
  }
  return {
    get record() {
      return record;
    },
    write(patch) {
      const written = last === null ? writeNow(patch) : last.then(() => writeNow(patch));
      const settled = written.then(done, done);
      last = settled;
      return written;

      function done(): void {
        if (last === settled) last = null;
      }
    },
  };
}

/** The memory of a car that has applied nothing. @param connection the number of its last connection */
function newRecord(emptyHash: string, connection: number): JournalRecord {
  return {
    seq: 0,
    connection,
    trustedTimeMs: 0,
    active: { version: 0, hash: emptyHash },
    terms: {},
    change: null,
    outcome: null,
  };
}

/** Replaces the journal by that of a car with a new identity. */
export async function beginJournal(
  storage: Pick<AgentStorage, "write">,
  emptyHash: string,
  connection: number,
): Promise<void> {
  await storage.write(journalName, JSON.stringify(newRecord(emptyHash, connection)));
}
