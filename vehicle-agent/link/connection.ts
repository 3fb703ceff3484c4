import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@caas/contract/backoff.ts";
import type { Presence } from "@caas/contract/presence.ts";
import { qosOf, type TopicKindFromCar, topicKindsToCar, topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import type { CarLink, CarTransport, WireMessage } from "./transport.ts";

// Keeps one car connected: numbered connections with will and presence, and a new one after every loss.

export type Connection = {
  start(): void;
  /** Publishes offline and disconnects; with `farewell: false` the connection is just dropped. */
  stop(options: { farewell: boolean }): Promise<void>;
  readonly isUp: boolean;
  /** Replaces the current connection, if there is one. */
  renew(): void;
  /** Rejects when the car is not connected or loses the link before the broker has taken the message. */
  publish(kind: TopicKindFromCar, payload: string): Promise<void>;
};

export type ConnectionOptions = {
  vin: Vin;
  transport: CarTransport;
  random: () => number;
  /** The number of the next connection, durable before it is used. */
  countConnection: () => Promise<number>;
  /** The time by signatures alone: the car's clock may be wrong by years. */
  signedTime: () => Date;
  /** Runs before every attempt; it must not reject. */
  prepare?: (signal: AbortSignal) => Promise<void>;
  onMessage: (topic: string, payload: Buffer) => void;
  onUp: () => void;
  onDown: (reason: string) => void;
};

/** We do not wait longer for a broker that does not take the farewell. */
const farewellTimeoutMs = 1_000;

export function createConnection(options: ConnectionOptions): Connection {
  const { vin, transport } = options;
  const stopping = new AbortController();
  let link: CarLink | null = null;
  let presence = 0;
  let running: Promise<void> = Promise.resolve();

  const message = (kind: TopicKindFromCar, payload: string): WireMessage => ({
    topic: topicOf(vin, kind),
    payload,
    qos: qosOf[kind],
    retain: kind === "presence",
  });
  const presenceMessage = (state: Presence["state"]): WireMessage =>
    message("presence", JSON.stringify({ state, connection: presence } satisfies Presence));

  /** Runs one connection. @returns the reason of its end */
  async function live(onUp: () => void): Promise<string> {
    await options.prepare?.(stopping.signal);
    if (stopping.signal.aborted) return "stopped";
    presence = await options.countConnection();
    const opened = await transport.connect({
      clientId: vin,
      will: presenceMessage("offline"),
      subscriptions: topicKindsToCar.map((kind) => topicOf(vin, kind)),
      onMessage: options.onMessage,
      signedTime: options.signedTime(),
      signal: stopping.signal,
    });
    // Stopped before the broker took the first message: no other code knows this link, so it must end here.
    const giveUp = (): void => opened.drop();
    stopping.signal.addEventListener("abort", giveUp, { once: true });
    try {
      await opened.publish(presenceMessage("online"));
      if (stopping.signal.aborted) return "stopped";
      stopping.signal.removeEventListener("abort", giveUp);
      link = opened;
      onUp();
      return await opened.closed;
    } finally {
      link = null;
      opened.drop();
    }
  }

  async function keepConnected(): Promise<void> {
    let attempt = 0;
    while (!stopping.signal.aborted) {
      let wasUp = false;
      const reason = await live(() => {
        wasUp = true;
        attempt = 0;
        options.onUp();
      }).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
      if (wasUp || !stopping.signal.aborted) options.onDown(reason);
      const waitMs = backoffMs(attempt, options.random);
      attempt += 1;
      await delay(waitMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  }

  return {
    start() {
      running = keepConnected();
    },
    get isUp() {
      return link !== null;
    },
    renew() {
      void link?.close().catch(() => undefined);
    },
    async publish(kind, payload) {
      if (link === null) throw new Error("not connected");
      await link.publish(message(kind, payload));
    },
    async stop({ farewell }) {
      const present = link;
      stopping.abort();
      if (present !== null && farewell) {
        const said = present.publish(presenceMessage("offline")).catch(() => undefined);
        await Promise.race([said, delay(farewellTimeoutMs, undefined, { ref: false })]);
        await present.close();
      } else {
        present?.drop();
      }
      await running;
    },
  };
}
