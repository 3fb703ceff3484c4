/** The broker closed a connection; `reason` is a metric label. */
export class ConnectionFault extends Error {
  override readonly name = "ConnectionFault";
  readonly reason: string;
  constructor(reason: string) {
    super(`connection closed: ${reason}`);
    this.reason = reason;
  }
}
