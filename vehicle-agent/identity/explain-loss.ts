import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { journalName } from "../change/journal.ts";
import type { AgentStorage } from "../storage/storage.ts";
import { identityName, keySetFileName } from "./identity.ts";
import { proofKeyName } from "./keys.ts";

/** Without these a car is nobody. */
const needed = [journalName, identityName, proofKeyName];

/**
 * Why a car that was enrolled has no identity, from what is in its folder: the same at every start, because what was
 * set aside is kept. Ask before anything is made anew.
 * @returns `null` for a folder that was never enrolled
 */
export async function explainLoss(
  dataDir: string,
  storage: Pick<AgentStorage, "read">,
): Promise<string | null> {
  const aside: string[] = [];
  const missing: string[] = [];
  const present: string[] = [];
  for (const name of needed) {
    const kept = await listSetAside(dataDir, name);
    aside.push(...kept);
    if ((await storage.read(name)) !== null) present.push(name);
    else if (kept.length === 0) missing.push(name);
  }
  const hasBegun = aside.length > 0 || present.length > 0 || (await storage.read(keySetFileName)) !== null;
  if (!hasBegun) return null;
  const causes = [
    ...(aside.length === 0 ? [] : [`set aside: ${aside.join(", ")}`]),
    ...(missing.length === 0 ? [] : [`missing: ${missing.join(", ")}`]),
  ];
  return causes.length === 0 ? null : causes.join("; ");
}

/** Their names from the car's folder on, the oldest first. */
async function listSetAside(dataDir: string, name: string): Promise<string[]> {
  const folder = dirname(name);
  const names = await readdir(join(dataDir, folder)).catch(() => []);
  return names
    .filter((found) => found.startsWith(`${basename(name)}.damaged-`))
    .sort()
    .map((found) => join(folder, found));
}
