/** The run cannot be begun as it was asked for; the message says what to do. */
export class CannotSimulate extends Error {
  override name = "CannotSimulate";
}
