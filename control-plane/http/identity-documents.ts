import { cif, dni, nie } from "stdnum/lib/cjs/es/index.js";
import * as z from "zod";
import { countrySchema } from "./contact-fields.ts";

// Buyers' identity documents. Check letters and digits catch a typing error before the authority does.

/** As they are stored: capital letters and digits alone. */
const numberOf = (max: number) =>
  z
    .string()
    .max(max, { abort: true })
    .overwrite((text) => text.toUpperCase().replaceAll(/[\s.-]/g, ""));

export const dniSchema = numberOf(20)
  .refine(
    (text) => /^\d{8}[A-Z]$/.test(text) && dni.validate(text).isValid,
    "must be a DNI, eight digits and their check letter, as 12345678Z",
  )
  .meta({ example: "12345678Z" });

export const nieSchema = numberOf(20)
  .refine(
    (text) => /^[XYZ]\d{7}[A-Z]$/.test(text) && nie.validate(text).isValid,
    "must be an NIE, X, Y or Z, seven digits and their check letter, as X1234567L",
  )
  .meta({ example: "X1234567L" });

/** Real Decreto 1065/2007 and Orden EHA/451/2008: some kinds of company end in a digit, some in a letter. */
export const cifSchema = numberOf(20)
  .refine(
    (text) => cif.validate(text).isValid && !/^[ABEH].*[A-J]$/.test(text) && !/^[NPQRSW].*\d$/.test(text),
    "must be a CIF, a letter, seven digits and their check digit or letter, as A58818501",
  )
  .meta({ example: "A58818501" });

/** No rule of numbering holds for all countries' passports. */
const passportSchema = numberOf(20)
  .refine((text) => /^[A-Z0-9]{5,20}$/.test(text), "must be a passport's number: 5 to 20 letters and digits")
  .meta({ example: "C01X0006H" });

export const identityDocumentSchema = z
  .discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("dni"), number: dniSchema }),
    z.strictObject({ kind: z.literal("nie"), number: nieSchema }),
    z.strictObject({ kind: z.literal("passport"), number: passportSchema, country: countrySchema }),
    z.strictObject({ kind: z.literal("cif"), number: cifSchema }),
  ])
  .meta({
    id: "IdentityDocument",
    description:
      "DNI of a Spaniard, NIE of a foreign resident, passport of another foreigner, or CIF of a company.",
  });
