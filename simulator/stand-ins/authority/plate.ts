// Plates as Spain has issued them since 2000: four digits and three consonants (Real Decreto 2822/1998,
// annex XVIII), without vowels, Ñ and Q.

const letters = "BCDFGHJKLMNPRSTVWXYZ";
const perSeries = 10_000;

/** The `serial`-th plate (1 …). @throws past the last plate, ZZZ 9999. */
export function issuePlate(serial: number): string {
  const index = serial - 1;
  const series = Math.floor(index / perSeries);
  if (!Number.isInteger(serial) || index < 0 || series >= letters.length ** 3)
    throw new Error(`no plate for serial number ${serial}`);
  const letterAt = (power: number) =>
    letters.charAt(Math.floor(series / letters.length ** power) % letters.length);
  return `${String(index % perSeries).padStart(4, "0")} ${letterAt(2)}${letterAt(1)}${letterAt(0)}`;
}
