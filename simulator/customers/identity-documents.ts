// Invented documents with the check letters and digits that real ones have.

const letters = "TRWAGMYFPDXBNJZSQVHLCKE";

export type InventedDocument = { kind: "dni" | "nie" | "cif"; number: string };

const checkLetter = (value: number) => letters.charAt(value % letters.length);

/** A Spaniard's; `number` is below 100,000,000. */
export function inventDni(number: number): InventedDocument {
  return { kind: "dni", number: `${String(number).padStart(8, "0")}${checkLetter(number)}` };
}

/** A foreign resident's; X counts as a leading 0. `number` is below 10,000,000. */
export function inventNie(number: number): InventedDocument {
  return { kind: "nie", number: `X${String(number).padStart(7, "0")}${checkLetter(number)}` };
}

/** A limited company's; `number` is below 10,000,000. The check digit is Luhn's. */
export function inventCif(number: number): InventedDocument {
  const digits = String(number).padStart(7, "0");
  const sum = [...digits].reduce((total, digit, index) => {
    const value = Number(digit) * (index % 2 === 0 ? 2 : 1);
    return total + (value > 9 ? value - 9 : value);
  }, 0);
  return { kind: "cif", number: `B${digits}${(10 - (sum % 10)) % 10}` };
}
