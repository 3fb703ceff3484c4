import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sourceOf } from "./address-source.ts";
import { isLoopbackHost } from "./loopback-host.ts";
import {
  cutText,
  cutTextBefore,
  decodeUtf8,
  findUnstorableText,
  isStorableText,
  makeStorable,
  makeTextStorable,
} from "./outside-text.ts";

const car = "🚗";
const [half = ""] = car.split("");

describe("text from outside [F18]", () => {
  test("is whole code points without NUL, and is not touched where it is that already", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const made = makeTextStorable(text);
        expect(isStorableText(made)).toBe(true);
        expect(made).toHaveLength(text.length);
        if (isStorableText(text)) expect(made).toBe(text);
      }),
    );
    expect(makeTextStorable(`a\u0000b${half}c`)).toBe("a\uFFFDb\uFFFDc");
  });

  test("is cut between code points, at either end, and never longer than asked", () => {
    expect([cutText(`ab${car}`, 3), cutText(`ab${car}`, 4), cutText(`ab${car}`, 9)]).toEqual([
      "ab",
      `ab${car}`,
      `ab${car}`,
    ]);
    expect([
      cutTextBefore(`${car}ab`, 3),
      cutTextBefore(`${car}ab`, 4),
      cutTextBefore(`${car}ab`, 9),
    ]).toEqual(["ab", `${car}ab`, `${car}ab`]);
    expect(cutText("", 0)).toBe("");
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(20), (text, most) => {
        for (const cut of [cutText(text, most), cutTextBefore(text, most)]) {
          expect(isStorableText(cut)).toBe(true);
          expect(cut.length).toBeLessThanOrEqual(most);
        }
      }),
    );
  });

  test("is found wherever in a value it is, in a field's name too", () => {
    expect(findUnstorableText({ a: [{ b: "x" }, { b: `${half}` }] })).toEqual({
      path: ["a", "1", "b"],
      message: expect.stringContaining("surrogate"),
    });
    expect(findUnstorableText({ a: { "b\u0000": 1 } })).toEqual({
      path: ["a"],
      message: expect.stringContaining("name"),
    });
    expect(findUnstorableText("\u0000")).toEqual({ path: [], message: expect.stringContaining("U+0000") });
    expect(findUnstorableText({ a: ["x", 1, null, true, car], ñ: "\u200d\n" })).toBeNull();
  });

  test("any JSON value becomes storable, and is the same value when it was", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
        const made = makeStorable(value);
        expect(findUnstorableText(made)).toBeNull();
        if (findUnstorableText(value) === null) expect(made).toBe(value);
      }),
    );
  });

  test("a value nested without end is named or cut, and does not end the process", () => {
    const deep: unknown = JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`);
    expect(findUnstorableText(deep)?.message).toContain("nested");
    expect(findUnstorableText(makeStorable(deep))).toBeNull();
  });

  test("bytes that are not UTF-8 are no text", () => {
    expect(decodeUtf8(Buffer.from(`a${car}`))).toBe(`a${car}`);
    expect(decodeUtf8(Buffer.from([0x61, 0xff]))).toBeNull();
    expect(decodeUtf8(Buffer.from(car).subarray(0, 3))).toBeNull();
  });
});

test("a page of loopback knows its own names and no other [R20]", () => {
  for (const host of ["127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:80", "127.3.2.1"])
    expect([host, isLoopbackHost(host)]).toEqual([host, true]);
  for (const host of [
    undefined,
    "",
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example:80",
    "10.0.0.1",
    "127.0.0.1@evil.example",
  ])
    expect([host, isLoopbackHost(host)]).toEqual([host, false]);
});

test("addresses of one /64 are one source, and IPv4 addresses each their own [R2]", () => {
  expect(sourceOf("2001:db8:1:2:3:4:5:6")).toBe(sourceOf("2001:db8:1:2:ffff::1"));
  expect(sourceOf("2001:db8:1:2::1")).not.toBe(sourceOf("2001:db8:1:3::1"));
  expect(sourceOf("192.0.2.1")).not.toBe(sourceOf("192.0.2.2"));
});
