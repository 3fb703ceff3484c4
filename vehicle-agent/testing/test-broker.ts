import { EventEmitter, on } from "node:events";
import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { VerifyingKey } from "@caas/contract/jws.ts";
import { type Report, verifyReport } from "@caas/contract/report.ts";
import { parseTopic, type TopicKindToCar, topicOf } from "@caas/contract/topics.ts";
import type { Vin } from "@caas/contract/vin.ts";
import { Aedes } from "aedes";

export type TestMessage = { topic: string; payload: string; retain: boolean };

export type TestBroker = {
  url: string;
  /** Everything cars have published, in order. */
  messages: readonly TestMessage[];
  /** Sends a text to a car as the control plane would. */
  send(vin: Vin, kind: TopicKindToCar, text: string): Promise<void>;
  /** The first message from now on, or already there after `skip` of them, that `isWanted`. */
  next(isWanted: (message: TestMessage) => boolean, skip?: number): Promise<TestMessage>;
  /** The first verified report of that kind after `skip` messages. */
  nextReport(
    vin: Vin,
    key: VerifyingKey,
    isWanted?: (report: Report) => boolean,
    skip?: number,
  ): Promise<Report>;
  /** Takes a connection that another server has accepted. */
  handle(stream: Duplex): void;
  /** Cuts every connection, as a broker that dies does; new ones are accepted at once. */
  cut(): void;
  close(): Promise<void>;
};

/** A plain MQTT broker on a free loopback port, without access rules. */
export async function startTestBroker(): Promise<TestBroker> {
  const broker = new Aedes();
  await broker.listen();
  const arrivals = new EventEmitter<{ message: [TestMessage] }>();
  arrivals.setMaxListeners(100);
  const messages: TestMessage[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    broker.handle(socket);
  });
  await broker.subscribe(
    "caas/#",
    (packet, done) => {
      const topic = parseTopic(packet.topic);
      if (topic !== null && !["manifest", "keys", "display"].includes(topic.kind)) {
        const message = {
          topic: packet.topic,
          payload: packet.payload.toString(),
          retain: packet.retain,
        };
        messages.push(message);
        arrivals.emit("message", message);
      }
      done();
    },
    () => undefined,
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");

  const next: TestBroker["next"] = async (isWanted, skip = 0) => {
    const known = messages.slice(skip).find(isWanted);
    if (known !== undefined) return known;
    const later = on(arrivals, "message");
    for await (const [message] of later) if (isWanted(message)) return message;
    throw new Error("the broker is closed");
  };

  return {
    url: `mqtt://127.0.0.1:${address.port}`,
    messages,
    next,
    handle: (stream) => void broker.handle(stream),
    send: (vin, kind, text) =>
      new Promise((resolve, reject) => {
        broker.publish(
          {
            cmd: "publish",
            topic: topicOf(vin, kind),
            payload: Buffer.from(text),
            qos: 1,
            retain: false,
            dup: false,
          },
          (error) => (error ? reject(error) : resolve()),
        );
      }),
    async nextReport(vin, key, isWanted = () => true, skip = 0) {
      const read = ({ topic, payload }: TestMessage): Report | null => {
        if (topic !== topicOf(vin, "report")) return null;
        const result = verifyReport(payload, { vin, key });
        return result.kind === "accepted" ? result.report : null;
      };
      const message = await next((candidate) => {
        const report = read(candidate);
        return report !== null && isWanted(report);
      }, skip);
      const report = read(message);
      if (report === null) throw new Error("a report changed its mind");
      return report;
    },
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await new Promise<void>((resolve) => broker.close(() => resolve()));
    },
  };
}
