import {
  type InventedDocument,
  inventCif,
  inventDni,
  inventNie,
} from "@caas/simulator/customers/identity-documents.ts";

/** A customer as the dealership enters one, and what they choose. */
export type Person = {
  kind: "person" | "company";
  /** In full; a company's as it is registered. */
  name: string;
  identityDocument: InventedDocument;
  /** At a company. */
  contactPerson?: string;
  email: string;
  /** E.164 */
  phone: string;
  address: { street: string; city: string; postalCode: string; country: string };
};

export type PlanChoice = { base: string; options: string[] };

const givenNames = [
  "Lucía",
  "Hugo",
  "Martina",
  "Leo",
  "Sofía",
  "Mateo",
  "Julia",
  "Daniel",
  "Paula",
  "Alba",
  "Nuria",
  "Iker",
];
const familyNames = [
  "Ferrer",
  "Castaño",
  "Robles",
  "Vega",
  "Soler",
  "Ibarra",
  "Montes",
  "Quiroga",
  "Lasarte",
  "Pardo",
];
const towns = [
  { city: "Zaragoza", postalCode: "50001" },
  { city: "Valencia", postalCode: "46002" },
  { city: "Bilbao", postalCode: "48003" },
  { city: "Sevilla", postalCode: "41004" },
];
const plans: readonly PlanChoice[] = [
  { base: "viaje", options: ["winterPack", "premiumSound"] },
  { base: "ciudad", options: ["panoramaRoof"] },
  { base: "sierra", options: ["towHitch", "winterPack"] },
  { base: "ciudad", options: [] },
];

function pick<T>(list: readonly T[], index: number): T {
  const found = list[index % list.length];
  if (found === undefined) throw new Error("nothing to pick from");
  return found;
}

/**
 * The customer of that number: the same each time, but for the e-mail, which `mark` keeps apart from other runs
 * on the same data folder.
 */
export function inventPerson(number: number, mark: string): Person {
  const given = pick(givenNames, number);
  // Steps through all pairs before one comes again.
  const family = pick(familyNames, number + Math.floor(number / givenNames.length));
  const ascii = `${given}.${family}`
    .normalize("NFD")
    .replaceAll(/[^A-Za-z.]/g, "")
    .toLowerCase();
  return {
    ...inventBuyer(number, given, family),
    email: `${ascii}.${mark}@customers.example`,
    phone: `+346001${String(10_000 + number).padStart(5, "0")}`,
    address: { street: `Calle Mayor ${number + 1}`, ...pick(towns, number), country: "ES" },
  };
}

/** Most are Spaniards; every fifth one is a foreign resident, every seventh one a company. */
function inventBuyer(
  number: number,
  given: string,
  family: string,
): Pick<Person, "kind" | "name" | "identityDocument" | "contactPerson"> {
  const name = `${given} ${family}`;
  if (number % 7 === 6)
    return {
      kind: "company",
      name: `Talleres ${family} S.L.`,
      identityDocument: inventCif(number),
      contactPerson: name,
    };
  const identityDocument = number % 5 === 4 ? inventNie(number) : inventDni(12_345_678 + number);
  return { kind: "person", name, identityDocument };
}

export function choosePlan(number: number): PlanChoice {
  return pick(plans, number);
}
