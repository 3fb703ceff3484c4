/** A customer as the dealership enters one, and what they choose. */
export type Person = {
  name: string;
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
    name: `${given} ${family}`,
    email: `${ascii}.${mark}@customers.example`,
    phone: `+346001${String(10_000 + number).padStart(5, "0")}`,
    address: { street: `Calle Mayor ${number + 1}`, ...pick(towns, number), country: "ES" },
  };
}

export function choosePlan(number: number): PlanChoice {
  return pick(plans, number);
}
