import { mkdir, readdir, readFile, readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { isMissing, isOfOtherKind, isUnreadable, syncFolder, writeSynced } from "../storage/durable-files.ts";
import { setFileAside } from "../storage/set-aside.ts";
import type { ConfigurationSlots, SlotFiles, SlotName } from "./slots.ts";

/**
 * Slots in a folder: `slots/a`, `slots/b` and the symbolic link `active` to one of them. Programs in the car
 * read through `active`; the link is replaced by a rename, so they see one whole configuration or the other.
 */
export function createDirectorySlots(root: string): ConfigurationSlots {
  const directoryOf = (slot: SlotName): string => join(root, "slots", slot);
  const link = join(root, "active");
  return {
    directoryOf,
    async active() {
      try {
        const target = await readlink(link);
        return target === join("slots", "a") ? "a" : target === join("slots", "b") ? "b" : null;
      } catch (error) {
        if (isMissing(error) || isOfOtherKind(error)) return null;
        throw error;
      }
    },
    async stage(slot: SlotName, files: SlotFiles) {
      const folder = directoryOf(slot);
      // Only files of the new version: those of an earlier one are removed first.
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      for (const [name, text] of files) await writeSynced(join(folder, name), text, 0o644);
      await syncFolder(folder);
      await syncFolder(join(root, "slots"));
    },
    async activate(slot: SlotName) {
      const temporary = join(root, "active.new");
      await rm(temporary, { recursive: true, force: true });
      await symlink(join("slots", slot), temporary);
      await rename(temporary, link).catch(async (error: unknown) => {
        if (!isOfOtherKind(error)) throw error;
        await setFileAside(link);
        await rename(temporary, link);
      });
      await syncFolder(root);
    },
    async read(slot: SlotName) {
      const files = new Map<string, string>();
      try {
        for (const name of await readdir(directoryOf(slot)))
          files.set(name, await readText(join(directoryOf(slot), name)));
      } catch (error) {
        if (!isMissing(error) && !isUnreadable(error)) throw error;
      }
      return files;
    },
  };
}

/** An entry that cannot be read counts as an empty one: the slot is damaged. */
async function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch((error: unknown) => {
    if (isUnreadable(error)) return "";
    throw error;
  });
}
