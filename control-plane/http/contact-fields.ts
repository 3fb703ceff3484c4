import { isReadable, showOnOneLine } from "@caas/contract/shown-text.ts";
import { parsePhoneNumberFromString } from "libphonenumber-js/max";
import { postcodeValidator, postcodeValidatorExistsForCountry } from "postcode-validator";
import validator from "validator";
import * as z from "zod";
import type { Address } from "../store/schema.ts";
import { postalCodeExamples } from "./postal-code-examples.ts";

// What people type about people and about their work, the same on every route. Libraries that follow the world judge it. What partners write
// is never judged by it: their messages are taken.

/** A name, a line of an address, a reason: on one line, without characters that are not seen, and not empty to the eye. */
export function lineOfText(max: number) {
  return z
    .string()
    .overwrite(showOnOneLine)
    .max(max, { abort: true })
    .refine(isReadable, { abort: true, error: "must hold at least one letter or digit" });
}

export const nameSchema = lineOfText(200).meta({ example: "Lucía Ferrer" });

/** RFC 5321 §4.5.3.1.3: a path has 256 characters, its two angle brackets included. */
const longestEmail = 254;

/** In lower case. Letters beyond ASCII before the @ are refused: many mail servers cannot take them. */
export const emailSchema = z
  .string()
  .trim()
  .toLowerCase()
  .max(longestEmail, { abort: true, error: `must have at most ${longestEmail} characters` })
  .refine(
    (text) => showOnOneLine(text) === text && validator.isEmail(text, { allow_utf8_local_part: false }),
    "must be an e-mail address, as lucia@customer.example",
  );

/** In E.164; blanks, dots and hyphens are typed by many. */
export const phoneSchema = z
  .string()
  .max(40, { abort: true })
  .overwrite((text) => parsePhone(text)?.number ?? text.trim())
  .refine(
    (text) => parsePhone(text) !== undefined,
    "must be a telephone number that exists, with its country (E.164), as +34600111222",
  );

function parsePhone(text: string) {
  const phone = parsePhoneNumberFromString(text.trim());
  return phone?.isValid() === true && phone.ext === undefined ? phone : undefined;
}

export const countrySchema = z
  .string()
  .trim()
  .toUpperCase()
  .refine(
    (text) => /^[A-Z]{2}$/.test(text) && validator.isISO31661Alpha2(text),
    "must be a country's two-letter code (ISO 3166-1), as ES",
  );

/** The postal code is judged by the country's own form, where the country has one. */
export const addressSchema = z
  .strictObject({
    street: lineOfText(200).meta({ example: "Calle Mayor 1" }),
    city: lineOfText(100).meta({ example: "Madrid" }),
    postalCode: lineOfText(20).meta({ example: "28013" }),
    country: countrySchema,
  })
  .superRefine(({ postalCode, country }, context) => {
    if (!isPostalCodeOf(country, postalCode))
      context.addIssue({
        code: "custom",
        path: ["postalCode"],
        message: `${postalCode} is no postal code of ${country}${describeForm(country)}`,
      });
  });

function isPostalCodeOf(country: string, postalCode: string): boolean {
  if (!validator.isISO31661Alpha2(country) || !postcodeValidatorExistsForCountry(country)) return true;
  return postcodeValidator(postalCode, country);
}

function describeForm(country: string): string {
  const example = postalCodeExamples.get(country);
  return example === undefined ? "" : `: its form is that of ${example}`;
}

/** "Calle Mayor 1, 28013 Madrid, ES". */
export function describeAddress({ street, postalCode, city, country }: Address): string {
  return `${street}, ${postalCode} ${city}, ${country}`;
}
