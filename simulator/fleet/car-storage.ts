import type { SlotFiles, SlotName } from "@caas/vehicle-agent/change/slots.ts";
import { keySetFileName, loadIdentity } from "@caas/vehicle-agent/identity/identity.ts";
import { type AgentStorage, openDirectoryStorage } from "@caas/vehicle-agent/storage/storage.ts";
import * as z from "zod";

/** Everything one car keeps, as it is written into the fleet's file. */
export const carImageSchema = z.strictObject({
  texts: z.record(z.string(), z.string()),
  active: z.enum(["a", "b"]).nullable(),
  slots: z.strictObject({
    a: z.record(z.string(), z.string()).optional(),
    b: z.record(z.string(), z.string()).optional(),
  }),
});
export type CarImage = z.infer<typeof carImageSchema>;

/** A car's disk in memory: it outlives its agents, and can be saved as a whole. */
export type CarStorage = AgentStorage & { image(): CarImage };

/** Returns one string for equal texts: thousands of cars have the same key set. */
export type Intern = (text: string) => string;

export function createIntern(): Intern {
  let last = "";
  return (text) => {
    if (text !== last) last = text;
    return last;
  };
}

export function createCarStorage(intern: Intern, image?: CarImage): CarStorage {
  /** A value is serialised only when its text is asked for: most never are. */
  const texts = new Map<string, string | object>();
  const damaged: string[] = [];
  const slots = new Map<SlotName, SlotFiles>();
  let active: SlotName | null = image?.active ?? null;
  const put = (name: string, text: string): void =>
    void texts.set(name, name === keySetFileName ? intern(text) : text);

  for (const [name, text] of Object.entries(image?.texts ?? {})) put(name, text);
  for (const slot of ["a", "b"] as const) {
    const files = image?.slots[slot];
    if (files !== undefined) slots.set(slot, new Map(Object.entries(files)));
  }
  return {
    async read(name) {
      const kept = texts.get(name);
      return kept === undefined ? null : textOf(kept);
    },
    write: async (name, text) => put(name, text),
    damaged,
    async setAside(name) {
      texts.delete(name);
      damaged.push(name);
    },
    writeJson: async (name, value) => void texts.set(name, value),
    slots: {
      active: async () => active,
      stage: async (slot, files) => void slots.set(slot, new Map(files)),
      activate: async (slot) => {
        active = slot;
      },
      read: async (slot) => slots.get(slot) ?? new Map(),
      directoryOf: () => null,
    },
    image() {
      const filesOf = (slot: SlotName) => {
        const files = slots.get(slot);
        return files === undefined ? {} : { [slot]: Object.fromEntries(files) };
      };
      return {
        texts: Object.fromEntries(texts.entries().map(([name, kept]) => [name, textOf(kept)])),
        active,
        slots: { ...filesOf("a"), ...filesOf("b") },
      };
    },
  };
}

/** Puts a car that has no configuration yet into a folder of its own, unless it is there already. */
export async function writeDisk(folder: string, { texts }: CarImage): Promise<void> {
  const storage = await openDirectoryStorage(folder);
  if ((await loadIdentity(storage)) !== null) return;
  for (const [name, text] of Object.entries(texts)) await storage.write(name, text);
}

function textOf(kept: string | object): string {
  return typeof kept === "string" ? kept : JSON.stringify(kept);
}
