import * as z from "zod";

// Vehicle identification numbers after ISO 3779. The check digit of 49 CFR 565.15(c) is known, and asked of none.

const weights = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2] as const;

// I, O and Q are absent because ISO 3779 forbids them: they are easily mistaken for 1 and 0.
const transliteration: Readonly<Record<string, number>> = {
  ...Object.fromEntries([..."0123456789"].map((digit) => [digit, Number(digit)])),
  ...Object.fromEntries([..."ABCDEFGH"].map((letter, index) => [letter, index + 1])),
  ...Object.fromEntries([..."JKLMN"].map((letter, index) => [letter, index + 1])),
  P: 7,
  R: 9,
  ...Object.fromEntries([..."STUVWXYZ"].map((letter, index) => [letter, index + 2])),
};

/**
 * The check digit (`0`–`9` or `X`) that belongs at position 9 of `vin`, regardless of the character there now.
 * `vin` is 17 characters of A–Z (without I, O, Q) and 0–9; another character gives `null`.
 */
export function checkDigit(vin: string): string | null {
  if (vin.length !== weights.length) return null;
  let sum = 0;
  for (let position = 0; position < weights.length; position += 1) {
    const value = transliteration[vin.charAt(position)];
    if (value === undefined) return null;
    sum += value * (weights[position] ?? 0);
  }
  const remainder = sum % 11;
  return remainder === 10 ? "X" : String(remainder);
}

/** By regular expression: the broker checks every message. */
const vinPattern = /^[A-HJ-NPR-Z0-9]{17}$/;

/** Why `text` is not a VIN, in a sentence; `null` for a VIN. ISO 3779 asks for no check digit. */
export function explainVin(text: string): string | null {
  if (text.length !== 17) return `a VIN has 17 characters, this has ${text.length}`;
  if (vinPattern.test(text)) return null;
  return "a VIN holds only the digits and the capital letters without I, O and Q";
}

/** Made for the roads of North America: only there the ninth character is a check digit. */
const northAmerican = /^[1-5]/;

/**
 * A sentence for staff where a North American VIN has another check digit than its characters ask for: a hint that it
 * was mistyped. `null` for every other VIN. It is no reason to refuse one.
 */
export function doubtVin(vin: string): string | null {
  const expected = northAmerican.test(vin) ? checkDigit(vin) : null;
  if (expected === null || vin.charAt(8) === expected) return null;
  return `the ninth character of a North American VIN is a check digit; here it should be ${expected}, not ${vin.charAt(8)}`;
}

/** A valid VIN, branded: once parsed at the edge it is trusted inside. */
export const vinSchema = z
  .string()
  .superRefine((text, context) => {
    const reason = explainVin(text);
    if (reason !== null) context.addIssue({ code: "custom", message: reason });
  })
  .brand<"Vin">();

export type Vin = z.infer<typeof vinSchema>;

/** As partners and people write one: blanks around it and small letters are theirs to use. The answer is a `Vin`. */
export const writtenVinSchema = z.string().trim().toUpperCase().pipe(vinSchema);

export function isVin(text: string): text is Vin {
  return explainVin(text) === null;
}

/** @throws ZodError with the reason when `text` is no VIN. */
export function parseVin(text: string): Vin {
  return vinSchema.parse(text);
}
