// Instants are UTC everywhere. A calendar day is a place's: the dealership's, where it decides what may still be asked for
// and what a document says.

/** Where the business is, unless configured otherwise. */
export const defaultTimeZone = "Europe/Madrid";

/** As `2026-07-02`: the calendar day of an instant in a time zone of the IANA database. */
export function businessDay(at: Date, timeZone: string = defaultTimeZone): string {
  const format = formats.get(timeZone) ?? new Intl.DateTimeFormat("sv-SE", { timeZone });
  formats.set(timeZone, format);
  return format.format(at);
}

/** A format is dear to make, and a platform has one time zone. */
const formats = new Map<string, Intl.DateTimeFormat>();

export function isTimeZone(text: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: text });
    return true;
  } catch {
    return false;
  }
}
