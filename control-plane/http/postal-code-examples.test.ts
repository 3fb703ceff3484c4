import { expect, test } from "vitest";
import { addressSchema } from "./contact-fields.ts";
import { postalCodeExamples } from "./postal-code-examples.ts";

test.each([...postalCodeExamples])(
  "the example that shows the form of %s is one: %s [32]",
  (country, postalCode) => {
    const address = { street: "Calle Mayor 1", city: "Madrid", postalCode, country };
    expect(addressSchema.safeParse(address).success).toBe(true);
  },
);
