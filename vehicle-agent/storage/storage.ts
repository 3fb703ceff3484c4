import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { createDirectorySlots } from "../change/directory-slots.ts";
import { type ConfigurationSlots, createMemorySlots } from "../change/slots.ts";
import { readIfPresent, replaceFile } from "./durable-files.ts";
import { makeFolders, restrictFiles } from "./own-folder.ts";

/** The agent's data that survives a power loss: small texts by name, and the two configuration slots. */
export type AgentStorage = {
  /** The text last written under `name`; `null` before the first. */
  read(name: string): Promise<string | null>;
  /** Durable when it resolves; never half a text. `name` may hold `/`. */
  write(name: string, text: string): Promise<void>;
  /**
   * The same as `write` with the value's JSON, for a storage that makes the text only when it is read. The value is
   * never changed afterwards. Absent where texts are stored.
   */
  writeJson?(name: string, value: object): Promise<void>;
  slots: ConfigurationSlots;
};

/**
 * A folder on disk: the agent's own files are readable by its user only, `configuration/` by every program of the car
 * that may enter the folder's parent.
 */
export async function openDirectoryStorage(root: string): Promise<AgentStorage> {
  const configuration = join(root, "configuration");
  await makeFolders(join(configuration, "slots"));
  for (const name of ["keys", "display"]) {
    await makeFolders(join(root, name), 0o700);
    await chmod(join(root, name), 0o700);
  }
  for (const folder of [root, join(root, "keys"), join(root, "display")]) await restrictFiles(folder);
  return {
    read: (name) => readIfPresent(join(root, name)),
    write: (name, text) => replaceFile(join(root, name), text, 0o600),
    slots: createDirectorySlots(configuration),
  };
}

/** For simulated cars: an object of this kind survives the agent, as a disk survives a reboot. */
export function createMemoryStorage(): AgentStorage {
  const texts = new Map<string, string>();
  return {
    read: async (name) => texts.get(name) ?? null,
    write: async (name, text) => {
      texts.set(name, text);
    },
    slots: createMemorySlots(),
  };
}
