import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { createDirectorySlots } from "../change/directory-slots.ts";
import { type ConfigurationSlots, createMemorySlots } from "../change/slots.ts";
import { isOfOtherKind, readIfPresent, replaceFile } from "./durable-files.ts";
import { makeFolders, restrictFiles } from "./own-folder.ts";
import { setFileAside } from "./set-aside.ts";

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
  /** Sets a damaged text aside: from now on there is none under `name`. */
  setAside(name: string): Promise<void>;
  /** The names that were set aside in this run. */
  readonly damaged: readonly string[];
  slots: ConfigurationSlots;
};

/**
 * A folder on disk: the agent's own files are readable by its user only, `configuration/` by every program of the car
 * that may enter the folder's parent.
 */
export async function openDirectoryStorage(root: string): Promise<AgentStorage> {
  const configuration = join(root, "configuration");
  await makeFolders(root);
  for (const folder of [configuration, join(configuration, "slots")]) await makeOwnFolder(folder);
  for (const folder of [join(root, "keys"), join(root, "display")]) {
    await makeOwnFolder(folder, 0o700);
    await chmod(folder, 0o700);
  }
  for (const folder of [root, join(root, "keys"), join(root, "display")]) await restrictFiles(folder);
  const damaged: string[] = [];
  const setAside = async (name: string): Promise<void> => {
    await setFileAside(join(root, name));
    damaged.push(name);
  };
  return {
    damaged,
    setAside,
    async read(name) {
      try {
        return await readIfPresent(join(root, name));
      } catch (error) {
        // A file that the system refuses for now is not damaged: it is never set aside for that.
        if (!isOfOtherKind(error)) throw error;
        await setAside(name);
        return null;
      }
    },
    async write(name, text) {
      const path = join(root, name);
      try {
        await replaceFile(path, text, 0o600);
      } catch (error) {
        if (!isOfOtherKind(error)) throw error;
        await rm(`${path}.new`, { recursive: true, force: true });
        await setAside(name);
        await replaceFile(path, text, 0o600);
      }
    },
    slots: createDirectorySlots(configuration),
  };
}

/** A file in the place of a folder of ours is set aside. */
async function makeOwnFolder(path: string, mode?: number): Promise<void> {
  try {
    await makeFolders(path, mode);
  } catch (error) {
    if (!isOfOtherKind(error)) throw error;
    await setFileAside(path);
    await makeFolders(path, mode);
  }
}

/** For simulated cars: an object of this kind survives the agent, as a disk survives a reboot. */
export function createMemoryStorage(): AgentStorage {
  const texts = new Map<string, string>();
  const damaged: string[] = [];
  return {
    damaged,
    async setAside(name) {
      texts.delete(name);
      damaged.push(name);
    },
    read: async (name) => texts.get(name) ?? null,
    write: async (name, text) => {
      texts.set(name, text);
    },
    slots: createMemorySlots(),
  };
}
