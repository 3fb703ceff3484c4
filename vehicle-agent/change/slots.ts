import { hashJson, type Json } from "@caas/contract/canonical-json.ts";
import {
  canonicalEntry,
  type ManifestEntry,
  manifestEntrySchema,
  manifestHash,
} from "@caas/contract/manifest.ts";
import { parseJson } from "@caas/contract/parse-json.ts";
import * as z from "zod";

// Two slots hold configurations: one is active, the next is written to the other and activated by one atomic switch.

export type SlotName = "a" | "b";

/** Files of one slot by name. */
export type SlotFiles = ReadonlyMap<string, string>;

export type ConfigurationSlots = {
  /** The active slot; `null` before the first `activate`. Only this says whether a switch happened. */
  active(): Promise<SlotName | null>;
  /** Makes `slot` hold exactly `files`, durably. Never called for the active slot. */
  stage(slot: SlotName, files: SlotFiles): Promise<void>;
  /** The switch: atomic and durable. */
  activate(slot: SlotName): Promise<void>;
  /** The actual content of the slot. */
  read(slot: SlotName): Promise<SlotFiles>;
  /** The slot's folder, for programs in the car; `null` where there is no disk. */
  directoryOf(slot: SlotName): string | null;
};

export function otherSlot(slot: SlotName): SlotName {
  return slot === "a" ? "b" : "a";
}

/** The meaning of a slot: a version and the entries in force. */
export type SlotContent = { version: number; entries: ManifestEntry[] };

const indexName = "manifest.json";
const indexSchema = z.strictObject({
  version: z.int().min(0),
  hash: z.string().length(43),
  files: z.array(z.string()),
});

// The code comes from the catalogue: encoded, no code can name a file outside the slot.
function fileNameOf(entry: ManifestEntry): string {
  return `${encodeURIComponent(entry.code)}.${entry.id}.json`;
}

/** The files planned for a slot, and how they read back. */
export type PlannedSlot = { files: SlotFiles; reading: IntactSlot };

/**
 * One file per entry (`{code}.{id}.json`) and `manifest.json`, all canonical JSON.
 * @param hash `manifestHash` of the entries, if it is already known
 */
export function planSlot(content: SlotContent, hash = manifestHash(content.entries)): PlannedSlot {
  const { version } = content;
  const named = content.entries.map((entry): [name: string, entry: ManifestEntry] => {
    const { id, code, configuration, term } = entry;
    return [fileNameOf(entry), { id, code, configuration, term }];
  });
  named.sort(([a], [b]) => (a < b ? -1 : 1));
  const files = new Map(named.map(([name, entry]) => [name, canonicalEntry(entry)]));
  // The names in canonical order.
  files.set(indexName, JSON.stringify({ files: named.map(([name]) => name), hash, version }));
  const entries = named.map(([, entry]) => entry);
  return { files, reading: { kind: "intact", content: { version, entries }, hash } };
}

/** The files of `planSlot`. */
export function slotFilesOf(content: SlotContent): SlotFiles {
  return planSlot(content).files;
}

export type IntactSlot = { kind: "intact"; content: SlotContent; hash: string };

export type SlotReading =
  | IntactSlot
  /** Not a configuration; `hash` is of the files found, so it equals no manifest's. */
  | { kind: "damaged"; hash: string; detail: string };

/** Judges the files of a slot by their content alone. */
export function readSlotFiles(files: SlotFiles): SlotReading {
  const found: Json = Object.fromEntries(files);
  const damaged = (detail: string): SlotReading => ({ kind: "damaged", hash: hashJson(found), detail });
  const index = indexSchema.safeParse(parseJson(files.get(indexName) ?? ""));
  if (!index.success) return damaged(`${indexName} is missing or malformed`);
  const names = [...files.keys()].filter((name) => name !== indexName).sort();
  if (names.join("\n") !== index.data.files.join("\n"))
    return damaged("the files are not those of the index");
  const entries: ManifestEntry[] = [];
  for (const name of names) {
    const entry = manifestEntrySchema.safeParse(parseJson(files.get(name) ?? ""));
    if (!entry.success) return damaged(`${name} is malformed`);
    entries.push(entry.data);
  }
  const hash = manifestHash(entries);
  if (hash !== index.data.hash) return damaged("the entries are not those of the index");
  return { kind: "intact", content: { version: index.data.version, entries }, hash };
}

/**
 * The same for a slot that must hold `planned`: identical files need no parsing, because a test proves that they read
 * back as planned.
 */
export function readPlannedSlot(files: SlotFiles, planned: PlannedSlot | null): SlotReading {
  return planned !== null && areSame(files, planned.files) ? planned.reading : readSlotFiles(files);
}

function areSame(some: SlotFiles, others: SlotFiles): boolean {
  if (some.size !== others.size) return false;
  for (const [name, text] of some) if (others.get(name) !== text) return false;
  return true;
}

export function createMemorySlots(): ConfigurationSlots {
  const slots = new Map<SlotName, SlotFiles>();
  let active: SlotName | null = null;
  return {
    active: async () => active,
    stage: async (slot, files) => {
      slots.set(slot, new Map(files));
    },
    activate: async (slot) => {
      active = slot;
    },
    read: async (slot) => slots.get(slot) ?? new Map(),
    directoryOf: () => null,
  };
}
