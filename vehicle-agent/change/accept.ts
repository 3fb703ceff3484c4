import type { Manifest } from "@caas/contract/manifest.ts";

// What a car does with a manifest whose signature, addressee and hash are right: decided from its journal only.

export type Verdict =
  | { kind: "process" }
  /** Already processed: the outcome is said again and nothing is done again. */
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
  // First of all: under a newer set the key that signed this may be a revoked one.
  if (manifest.keySetVersion > keySetVersion) return { kind: "awaitKeys" };
  if (processed === null || manifest.version > processed.version) return { kind: "process" };
  if (manifest.version < processed.version) return { kind: "refuse", reason: "older" };
  return manifest.hash === processed.hash
    ? { kind: "repeatOutcome" }
    : { kind: "refuse", reason: "otherHash" };
}
