import { identityDocumentSchema } from "@caas/control-plane/http/identity-documents.ts";
import { expect, test } from "vitest";
import { inventCif, inventDni, inventNie } from "./identity-documents.ts";

test.each([inventDni, inventNie, inventCif])("%o has the check letter or digit of a real one", (invent) => {
  const documents = [0, 1, 7, 1_234_567, 5_837_843, 9_999_999].map(invent);
  for (const document of documents) expect(identityDocumentSchema.parse(document)).toEqual(document);
  expect(new Set(documents.map(({ number }) => number)).size).toBe(documents.length);
});
