import { generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { exportPublicKey, signJws, thumbprintOf, verifyingKeyFrom } from "./jws.ts";
import { type KeySet, keysValidAt, signKeySet, verifyKeySet } from "./key-set.ts";

function makeKey() {
  const { privateKey } = generateKeyPairSync("ed25519");
  const x = exportPublicKey(privateKey);
  return { kid: thumbprintOf(x), x, privateKey };
}

const root = makeKey();
const pinned = verifyingKeyFrom(root.x);
const now = makeKey();
const next = makeKey();
const published = ({ kid, x }: { kid: string; x: string }, notBefore: string, notAfter: string) => ({
  kid,
  x,
  notBefore,
  notAfter,
});
const keySet: KeySet = {
  version: 4,
  issuedAt: "2026-03-01T00:00:00.000Z",
  keys: [
    published(now, "2026-01-01T00:00:00.000Z", "2026-07-01T00:00:00.000Z"),
    published(next, "2026-06-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"),
  ],
};

describe("key sets", () => {
  test.each([0, 3, 4])("one signed by the pinned root is taken after version %i", (known) => {
    expect(verifyKeySet(signKeySet(keySet, root), pinned, known)).toEqual({ kind: "accepted", keySet });
  });

  test.each([
    { attack: "a replayed older one", token: signKeySet(keySet, root), known: 5, reason: "older" },
    {
      attack: "one signed by a key of the former set",
      token: signKeySet(keySet, now),
      known: 3,
      reason: "untrusted",
    },
    {
      attack: "another root with the pinned one's name",
      token: signKeySet(keySet, { kid: root.kid, privateKey: next.privateKey }),
      known: 3,
      reason: "untrusted",
    },
    {
      attack: "another signed document of the root",
      token: signJws("caas-manifest+jws", keySet, root),
      known: 3,
      reason: "untrusted",
    },
    {
      attack: "a key under another's name",
      token: signJws(
        "caas-keys+jws",
        {
          ...keySet,
          keys: [
            published({ kid: now.kid, x: next.x }, "2026-01-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"),
          ],
        },
        root,
      ),
      known: 3,
      reason: "malformed",
    },
    {
      attack: "a set without keys",
      token: signJws("caas-keys+jws", { ...keySet, keys: [] }, root),
      known: 3,
      reason: "malformed",
    },
    { attack: "nonsense", token: "nonsense", known: 3, reason: "untrusted" },
  ])("$attack is refused: $reason", ({ token, known, reason }) => {
    expect(verifyKeySet(token, pinned, known)).toEqual({ kind: "refused", reason });
  });

  test.each([
    { at: "2025-12-31T23:59:59.999Z", valid: [] },
    { at: "2026-01-01T00:00:00.000Z", valid: [now.kid] },
    { at: "2026-06-15T00:00:00.000Z", valid: [now.kid, next.kid] },
    { at: "2026-07-01T00:00:00.000Z", valid: [next.kid] },
    { at: "2027-01-01T00:00:00.000Z", valid: [] },
  ])("at $at the right keys are valid", ({ at, valid }) => {
    expect([...keysValidAt(keySet, new Date(at)).keys()]).toEqual(valid);
  });
});
