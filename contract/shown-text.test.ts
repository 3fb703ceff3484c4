import { describe, expect, test } from "vitest";
import { isReadable, showOnOneLine } from "./shown-text.ts";

describe("text that people typed, shown beside other text", () => {
  test.each([
    ["a name that turns the writing around", "Lucía \u202Egpj.exe", "Lucía gpj.exe"],
    ["isolates", "\u2066Lucía\u2069", "Lucía"],
    ["line breaks", "Lucía\r\nBcc: everyone@x.example", "Lucía Bcc: everyone@x.example"],
    ["blanks of every kind", " Lucía \u00A0\u2003 Ferrer\t", "Lucía Ferrer"],
    ["zero-width spaces", "Lu\u200Bcía\uFEFF", "Lucía"],
    ["a joiner at the end of a word", "Lucía\u200D", "Lucía"],
  ])("%s: it is on one line, and no more than is seen [R14]", (_what, typed, shown) => {
    expect(showOnOneLine(typed)).toBe(shown);
  });

  test.each(["José Ángel Núñez-O’Brien", "علی\u200Cرضا", "क्\u200Dष", "李小龍", "Ann-Kristin Ø. d'Été"])(
    "%s stays as it is [R14]",
    (name) => expect(showOnOneLine(name)).toBe(name),
  );

  test.each(["", " ", "\u200B\u200B", "\u202E", "\u3164", "\u2800", "\r\n", "- .", "\u0301"])(
    "%j looks empty [R14]",
    (text) => expect(isReadable(text)).toBe(false),
  );

  test.each(["3M", "Ó", "李", "\u202EAna"])("%j can be read [R14]", (text) =>
    expect(isReadable(text)).toBe(true),
  );
});
