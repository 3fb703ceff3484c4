import * as z from "zod";
import {
  addressSchema,
  emailSchema,
  lineOfText,
  nameSchema,
  phoneSchema,
} from "../../http/contact-fields.ts";
import { identityDocumentSchema } from "../../http/identity-documents.ts";
import type { Buyer } from "../../store/schema.ts";

/** Both together are no longer than a name in full may be. */
const partOfName = lineOfText(99);

/** A buyer as an employee types one in. */
export const newBuyerSchema = z
  .strictObject({
    kind: z
      .enum(["person", "company"])
      .optional()
      .meta({ description: "A private person where it is left out." }),
    name: nameSchema.optional().meta({
      description: "In full; a company's as it is registered. A person may have the two parts instead.",
    }),
    givenName: partOfName.optional(),
    familyName: partOfName.optional(),
    identityDocument: identityDocumentSchema.optional(),
    contactPerson: nameSchema.optional(),
    email: emailSchema,
    phone: phoneSchema,
    address: addressSchema,
  })
  .superRefine((given, context) => {
    const rules = given.kind === "company" ? companyRules(given) : personRules(given);
    for (const { field, message } of rules)
      context.addIssue({ code: "custom", path: field.split("."), message });
  });

type Given = {
  [Field in "name" | "givenName" | "familyName" | "contactPerson"]?: string | undefined;
} & { identityDocument?: { kind: string } | undefined };
type Wrong = { field: string; message: string };

function wrongWhen(isWrong: boolean, field: string, message: string): Wrong[] {
  return isWrong ? [{ field, message }] : [];
}

function companyRules(given: Given): Wrong[] {
  const isPerson = given.givenName !== undefined || given.familyName !== undefined;
  return [
    ...wrongWhen(given.name === undefined, "name", "a company needs its name"),
    ...wrongWhen(isPerson, "givenName", "a company has a name, and no given or family name"),
    ...wrongWhen(given.identityDocument === undefined, "identityDocument", "a company needs its CIF"),
    ...wrongWhen(
      given.identityDocument !== undefined && given.identityDocument.kind !== "cif",
      "identityDocument.kind",
      "a company's document is its CIF",
    ),
    ...wrongWhen(given.contactPerson === undefined, "contactPerson", "a company needs a person to speak to"),
  ];
}

function personRules(given: Given): Wrong[] {
  const { name, givenName, familyName } = given;
  const hasParts = givenName !== undefined || familyName !== undefined;
  const either = "a person has either a name in full, or a given and a family name";
  return [
    ...wrongWhen((name !== undefined) === hasParts, "name", either),
    ...wrongWhen(name === undefined && hasParts && givenName === undefined, "givenName", either),
    ...wrongWhen(name === undefined && hasParts && familyName === undefined, "familyName", either),
    ...wrongWhen(
      given.identityDocument?.kind === "cif",
      "identityDocument.kind",
      "a CIF is a company's: the kind of the buyer is company",
    ),
    ...wrongWhen(given.contactPerson !== undefined, "contactPerson", "only a company has a contact person"),
  ];
}

/** The same as a sale keeps it. */
export function buyerOf({ kind = "person", ...given }: z.output<typeof newBuyerSchema>): Buyer {
  const { name, givenName = null, familyName = null, identityDocument = null, contactPerson = null } = given;
  return {
    kind,
    name: name ?? `${givenName} ${familyName}`,
    givenName,
    familyName,
    identityDocument,
    contactPerson,
    phone: given.phone,
    address: given.address,
  };
}
