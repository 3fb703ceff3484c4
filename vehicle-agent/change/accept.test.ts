import { describe, expect, test } from "vitest";
import { judgeManifest } from "./accept.ts";

const rows = [
  { manifest: { version: 1, hash: "x" }, processed: null, verdict: { kind: "process" } },
  { manifest: { version: 9, hash: "x" }, processed: { version: 3, hash: "x" }, verdict: { kind: "process" } },
  {
    manifest: { version: 3, hash: "x" },
    processed: { version: 3, hash: "x" },
    verdict: { kind: "repeatOutcome" },
  },
  {
    manifest: { version: 3, hash: "y" },
    processed: { version: 3, hash: "x" },
    verdict: { kind: "refuse", reason: "otherHash" },
  },
  {
    manifest: { version: 2, hash: "x" },
    processed: { version: 3, hash: "x" },
    verdict: { kind: "refuse", reason: "older" },
  },
] as const;

describe("how a car treats a verified manifest [fault 4]", () => {
  test.each(rows)("$manifest after $processed: $verdict", ({ manifest, processed, verdict }) => {
    expect(judgeManifest({ ...manifest, keySetVersion: 4 }, processed, 4)).toEqual(verdict);
    expect(judgeManifest({ ...manifest, keySetVersion: 3 }, processed, 4)).toEqual(verdict);
  });

  test.each(rows)(
    "$manifest after $processed, under keys the car has not: waits",
    ({ manifest, processed }) => {
      expect(judgeManifest({ ...manifest, keySetVersion: 5 }, processed, 4)).toEqual({ kind: "awaitKeys" });
    },
  );
});
