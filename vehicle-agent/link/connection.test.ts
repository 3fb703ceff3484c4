import { parseVin } from "@caas/contract/vin.ts";
import { expect, test } from "vitest";
import { createConnection } from "./connection.ts";
import type { CarLink, CarTransport } from "./transport.ts";

/** A broker that accepts the car and takes its first message only on request, like a busy one. */
function createBusyBroker() {
  const said: string[] = [];
  const first = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<string>();
  const taken = Promise.withResolvers<void>();
  const link: CarLink = {
    closed: closed.promise,
    publish(message) {
      said.push(message.payload);
      first.resolve();
      return Promise.race([
        taken.promise,
        closed.promise.then((reason) => Promise.reject(new Error(reason))),
      ]);
    },
    async close() {
      closed.resolve("closed");
    },
    drop: () => closed.resolve("dropped"),
  };
  const transport: CarTransport = { connect: async () => link };
  return { transport, said, first: first.promise, closed: closed.promise, take: () => taken.resolve() };
}

test.each([true, false])(
  "3: a car told to stop while its first word is on its way ends that link too (farewell: %s)",
  async (farewell) => {
    const broker = createBusyBroker();
    let timesUp = 0;
    const connection = createConnection({
      vin: parseVin("1HGCM82633A004352"),
      transport: broker.transport,
      random: () => 0,
      countConnection: async () => 1,
      signedTime: () => new Date(0),
      onMessage: () => undefined,
      onUp: () => {
        timesUp += 1;
      },
      onDown: () => undefined,
    });
    connection.start();
    await broker.first;
    const stopped = connection.stop({ farewell });
    broker.take();
    await stopped;
    // Dropped and not closed: the broker publishes the will, which revokes the first message.
    expect(await broker.closed).toBe("dropped");
    expect([connection.isUp, timesUp]).toEqual([false, 0]);
    expect(broker.said).toHaveLength(1);
  },
);
