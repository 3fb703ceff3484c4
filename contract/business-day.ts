// Instants are UTC everywhere. A calendar day is a place's: the dealership's, where it decides what may still be asked for
// and what a document says.

/** Where the business is, unless configured otherwise. */
export const defaultTimeZone = "Europe/Madrid";

/** As `2026-07-02`: the calendar day of an instant in a time zone of the IANA database. */
export function businessDay(at: Date, timeZone: string = defaultTimeZone): string {
  return at.toLocaleDateString("sv-SE", { timeZone });
}

export function isTimeZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: text });
    return true;
  } catch {
    return false;
  }
}
