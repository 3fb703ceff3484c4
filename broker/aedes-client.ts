import type { Duplex } from "node:stream";
import type { Client } from "aedes";

/** What of aedes' client its documentation does not name. The version is pinned; a test says when it changes. */
export type DrivenClient = Client & {
  conn: Duplex;
  _nextId: number;
  _keepaliveTimer: { refresh(): void } | null;
  waitForDrain(done: () => void): void;
};

/** @throws Error with another version of aedes. */
export function drive(client: Client): DrivenClient {
  if (!isDriven(client)) throw new Error("this version of aedes is another one inside");
  return client;
}

function isDriven(client: Client): client is DrivenClient {
  return (
    typeof Reflect.get(client, "_nextId") === "number" &&
    typeof Reflect.get(client, "waitForDrain") === "function" &&
    Reflect.has(client, "_keepaliveTimer")
  );
}
