import type { Duplex } from "node:stream";
import type { Client } from "aedes";

/** The members that aedes' documentation does not name. The version is pinned; a test says when they change. */
type InnerClient = Client & {
  _nextId: number;
  _keepaliveTimer: { refresh(): void } | null;
  waitForDrain(done: () => void): void;
};

function isInner(client: Client): client is InnerClient {
  return (
    typeof Reflect.get(client, "_nextId") === "number" &&
    typeof Reflect.get(client, "waitForDrain") === "function" &&
    Reflect.has(client, "_keepaliveTimer")
  );
}

/** A connected client, as the rest of the broker sees it. */
export class ServedClient {
  readonly conn: Duplex;
  readonly #client: InnerClient;

  /** @throws Error with another version of aedes. */
  constructor(client: Client) {
    if (!isInner(client)) throw new Error("this version of aedes has other undocumented members");
    this.#client = client;
    this.conn = client.conn;
  }

  /** Known once its CONNECT is accepted. */
  get id(): string {
    return this.#client.id;
  }

  /** The identifier of its next message with QoS 1. */
  nextPacketId(): number {
    const id = this.#client._nextId;
    this.#client._nextId = id >= 65_535 ? 1 : id + 1;
    return id;
  }

  /** Something came from it: its keep-alive starts again. */
  wasHeard(): void {
    this.#client._keepaliveTimer?.refresh();
  }

  /** Calls `done` once its full socket has room again. */
  waitForDrain(done: () => void): void {
    this.#client.waitForDrain(done);
  }

  /** From now on nothing waits for its full socket; `onFull` is called each time something would have. */
  neverWait(onFull: () => void): void {
    const client = this.#client;
    Object.assign(client, {
      waitForDrain(done: (error: null, client: Client) => void) {
        setImmediate(done, null, client);
        onFull();
      },
    });
  }
}
