/** The run cannot begin as asked; the message says what to do. */
export class CannotSimulate extends Error {
  override name = "CannotSimulate";
}
