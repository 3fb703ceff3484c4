import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkDigit, explainVin, parseVin, vinSchema } from "./vin.ts";

describe("vehicle identification numbers", () => {
  // The first is the worked example of 49 CFR 565; the others are public examples of their makers.
  test.each(["1M8GDM9AXKP042788", "11111111111111111", "5GZCZ43D13S812715", "1HGCM82633A004352"])(
    "%s is one",
    (vin) => {
      expect(explainVin(vin)).toBeNull();
      expect(parseVin(vin)).toBe(vin);
    },
  );

  test.each([
    { text: "1M8GDM9A0KP042788", reason: "the check digit (9th character) should be X, not 0" },
    { text: "1M8GDM9AXKP042789", reason: "the check digit (9th character) should be 1, not X" },
    { text: "1M8GDM9AXKP04278", reason: "a VIN has 17 characters, this has 16" },
    { text: "", reason: "a VIN has 17 characters, this has 0" },
    {
      text: "1m8gdm9axkp042788",
      reason: "a VIN holds only the digits and the capital letters without I, O and Q",
    },
    {
      text: "IM8GDM9AXKP042788",
      reason: "a VIN holds only the digits and the capital letters without I, O and Q",
    },
    {
      text: "1M8GDM9AXKP04278/",
      reason: "a VIN holds only the digits and the capital letters without I, O and Q",
    },
  ])("$text is none: $reason", ({ text, reason }) => {
    expect(explainVin(text)).toBe(reason);
    expect(vinSchema.safeParse(text).error?.issues[0]?.message).toBe(reason);
    expect(() => parseVin(text)).toThrow();
  });

  const character = fc.constantFrom(..."ABCDEFGHJKLMNPRSTUVWXYZ0123456789");

  test("for any other characters, exactly one check digit makes a VIN", () => {
    fc.assert(
      fc.property(fc.array(character, { minLength: 17, maxLength: 17 }), (characters) => {
        const valid = [..."0123456789X"].filter(
          (digit) => explainVin(characters.with(8, digit).join("")) === null,
        );
        expect(valid).toEqual([checkDigit(characters.join(""))]);
      }),
    );
  });
});
