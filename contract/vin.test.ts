import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkDigit, doubtVin, explainVin, parseVin, vinSchema, writtenVinSchema } from "./vin.ts";

describe("vehicle identification numbers", () => {
  // The first is the worked example of 49 CFR 565; the others are public examples of their makers.
  test.each(["1M8GDM9AXKP042788", "11111111111111111", "5GZCZ43D13S812715", "1HGCM82633A004352"])(
    "%s is one",
    (vin) => {
      expect(explainVin(vin)).toBeNull();
      expect(parseVin(vin)).toBe(vin);
    },
  );

  const european = ["VSSZZZ5FZJR000001", "WVGZZZ5NZEW000001", "VF1RFA00X58000001", "YV1MC5851CJ000001"];

  test.each(european)("%s, a European VIN without a North American check digit, is taken [F1]", (vin) => {
    expect(explainVin(vin)).toBeNull();
    expect(parseVin(vin)).toBe(vin);
    expect(doubtVin(vin)).toBeNull();
  });

  test.each([
    { vin: "1M8GDM9A0KP042788", expected: "X", found: "0" },
    { vin: "5GZCZ43D33S812715", expected: "1", found: "3" },
  ])(
    "$vin, with a wrong North American check digit, is taken with a hint [F1]",
    ({ vin, expected, found }) => {
      expect(explainVin(vin)).toBeNull();
      expect(doubtVin(vin)).toContain(`should be ${expected}, not ${found}`);
    },
  );

  test("a VIN in small letters or with blanks around it is the same VIN, and where one is an identity, none [F1]", () => {
    expect(writtenVinSchema.parse(" vsszzz5fzjr000001\n")).toBe("VSSZZZ5FZJR000001");
    expect(vinSchema.safeParse("vsszzz5fzjr000001").success).toBe(false);
    expect(writtenVinSchema.safeParse("VSSZZZ5FZJR00000I").success).toBe(false);
    expect(writtenVinSchema.safeParse("VSSZZZ5FZJR 00001").success).toBe(false);
  });

  test.each([
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

  test("for any other characters, exactly one check digit leaves no doubt about a North American VIN", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(..."12345"),
        fc.array(character, { minLength: 16, maxLength: 16 }),
        (region, others) => {
          const characters = [region, ...others];
          const undoubted = [..."0123456789X"].filter(
            (digit) => doubtVin(characters.with(8, digit).join("")) === null,
          );
          expect(undoubted).toEqual([checkDigit(characters.join(""))]);
        },
      ),
    );
  });
});
