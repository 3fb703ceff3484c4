import type { Manifest } from "@caas/contract/manifest.ts";

// How a car treats a manifest whose signature, addressee and hash are right: decided from its journal only.

export type Verdict =
  | { kind: "process" }
  /** Already processed: only the outcome is reported again. */
  | { kind: "repeatOutcome" }
  /** Signed under a newer key set than ours: ours is reported, and the message waits for the newer one. */
  | { kind: "awaitKeys" }
  | { kind: "refuse"; reason: "older" | "otherHash" };

/** `processed` is the newest version this car has an outcome for; `null` before the first. */
export function judgeManifest(
  manifest: Pick<Manifest, "version" | "hash" | "keySetVersion">,
  processed: { version: number; hash: string } | null,
  keySetVersion: number,
): Verdict {
  // First: in a newer set the key that signed this may be revoked.
  if (manifest.keySetVersion > keySetVersion) return { kind: "awaitKeys" };
  if (processed === null || manifest.version > processed.version) return { kind: "process" };
  if (manifest.version < processed.version) return { kind: "refuse", reason: "older" };
  return manifest.hash === processed.hash
    ? { kind: "repeatOutcome" }
    : { kind: "refuse", reason: "otherHash" };
}
