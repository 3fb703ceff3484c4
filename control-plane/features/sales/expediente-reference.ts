// Without I, L, O and U, as Crockford's base 32: read out over the telephone, none is mistaken for another.
const letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const length = 6;

/** `soldOn`: a calendar day. `EXP-2026-7K2M9Q`: the year of the sale and six characters, about a thousand million a year. */
export function makeExpedienteReference(soldOn: string, random: () => number): string {
  const characters = Array.from({ length }, () => letters.charAt(Math.floor(random() * letters.length)));
  return `EXP-${soldOn.slice(0, 4)}-${characters.join("")}`;
}
