import { signKeySet } from "@caas/contract/key-set.ts";
import { expect, test } from "vitest";
import { makeSigningKey } from "../testing/test-signer.ts";
import { createKeyRing } from "./key-ring.ts";

const root = makeSigningKey();
const key = makeSigningKey();
const at = (day: string): Date => new Date(`2026-03-${day}T00:00:00.000Z`);

function ringWithOneKey() {
  const ring = createKeyRing(root.x);
  const { kid, x } = key;
  const keys = [{ kid, x, notBefore: at("10").toISOString(), notAfter: at("20").toISOString() }];
  expect(ring.accept(signKeySet({ version: 1, issuedAt: at("11").toISOString(), keys }, root)).kind).toBe(
    "accepted",
  );
  return ring;
}

test.each([
  ["10", true],
  ["19", true],
  ["09", false],
  ["20", false],
  ["21", false],
])("on day %s a signing key of the days 10 to 19 verifies: %s [test-gaps: key-ring 45]", (day, isValid) => {
  const time = { signed: at(day), latest: at(day) };
  expect(ringWithOneKey().keyOf(key.kid, time) !== undefined).toBe(isValid);
});

test("a car whose clock is three years ahead still reads what the platform signs [F5]", () => {
  const time = { signed: at("12"), latest: new Date("2029-03-12T00:00:00.000Z") };
  expect(ringWithOneKey().keyOf(key.kid, time)).toBeDefined();
});

test("a key that is over by the signed time verifies nothing, wherever the car's clock is [F5]", () => {
  const time = { signed: at("20"), latest: at("20") };
  expect(ringWithOneKey().keyOf(key.kid, time)).toBeUndefined();
});
