import { expect, test } from "vitest";
import { parseJson } from "./parse-json.ts";

test.each([
  ['{"a":[1]}', { a: [1] }],
  ["null", null],
  ["", undefined],
  ["{", undefined],
  ["<html>", undefined],
])("%j gives %j", (text, value) => {
  expect(parseJson(text)).toEqual(value);
});
