import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson, hashJson, type Json } from "./canonical-json.ts";

/** The same value with the keys of every object in another order. */
function reversed(value: Json): Json {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  );
}

/** As it comes off a wire: JSON has no -0. */
const json = fc.jsonValue().map((value): Json => JSON.parse(JSON.stringify(value)));

describe("canonical JSON (RFC 8785)", () => {
  test.each<{ value: Json; text: string }>([
    { value: { b: 1, a: [true, null, "ñ"] }, text: '{"a":[true,null,"ñ"],"b":1}' },
    {
      value: { "\u20ac": 1, "\r": 2, "1": 3, "\ud83d\ude00": 4, "\ufb33": 5 },
      text: '{"\\r":2,"1":3,"€":1,"😀":4,"\ufb33":5}',
    },
    {
      value: [1e30, 4.5, 2e-3, 1e-27, -0, 333333333.3333333],
      text: "[1e+30,4.5,0.002,1e-27,0,333333333.3333333]",
    },
    { value: {}, text: "{}" },
    { value: [], text: "[]" },
    { value: '"\\\u0007', text: '"\\"\\\\\\u0007"' },
  ])("$text", ({ value, text }) => {
    expect(canonicalJson(value)).toBe(text);
  });

  test("is JSON of the same value", () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(value);
      }),
    );
  });

  test("does not depend on the order in which an object's keys were set", () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(canonicalJson(reversed(value))).toBe(canonicalJson(value));
        expect(hashJson(reversed(value))).toBe(hashJson(value));
      }),
    );
  });

  test("two values have one text exactly when they are equal", () => {
    const pair = fc.oneof(
      fc.tuple(json, json),
      json.map((value): [Json, Json] => [value, reversed(value)]),
    );
    fc.assert(
      fc.property(pair, ([a, b]) => {
        expect(canonicalJson(a) === canonicalJson(b)).toBe(isDeepStrictEqual(a, b));
      }),
    );
  });
});
