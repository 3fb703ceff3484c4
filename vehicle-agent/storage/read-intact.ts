import type { AgentStorage } from "./storage.ts";

/**
 * What `parse` makes of the text stored under `name`; `null` where there is none, or where it is damaged (`parse` throws).
 * A damaged one is set aside, so that it stops no start and can still be looked at.
 */
export async function readIntact<T>(
  storage: Pick<AgentStorage, "read" | "setAside">,
  name: string,
  parse: (text: string) => T,
): Promise<T | null> {
  const text = await storage.read(name);
  if (text === null) return null;
  try {
    return parse(text);
  } catch {
    await storage.setAside(name);
    return null;
  }
}
