import { once } from "node:events";
import { createServer, type TLSSocket } from "node:tls";
import { topicOf } from "@caas/contract/topics.ts";
import { Aedes } from "aedes";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeCarKeys, tlsPublicKeyOf } from "../identity/keys.ts";
import { makeAuthority } from "../testing/test-authority.ts";
import { testVin } from "../testing/test-signer.ts";
import { createMqttTransport, type MqttTransportOptions } from "./mqtt-transport.ts";
import type { TlsCredential } from "./server-trust.ts";
import type { ConnectOptions } from "./transport.ts";

type TlsBroker = {
  url: string;
  tls: TlsCredential;
  /** Common names of the clients with certificates. */
  seen: string[];
  aedes: Aedes;
  cut(): void;
  close(): Promise<void>;
};
let broker: TlsBroker;

beforeEach(async () => {
  const authority = await makeAuthority();
  const { tlsKeyPem } = makeCarKeys();
  const aedes = new Aedes();
  await aedes.listen();
  const seen: string[] = [];
  const sockets = new Set<TLSSocket>();
  const server = createServer(
    { ...(await authority.certifyServer()), ca: authority.certificate, requestCert: true },
    (socket) => {
      sockets.add(socket);
      seen.push(String(socket.getPeerCertificate().subject?.CN));
      socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
      aedes.handle(socket);
    },
  );
  server.on("tlsClientError", () => undefined);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  broker = {
    url: `mqtts://127.0.0.1:${address.port}`,
    tls: {
      certificate: await authority.certifyCar(testVin, tlsPublicKeyOf(tlsKeyPem)),
      key: tlsKeyPem,
      ca: authority.certificate,
    },
    seen,
    aedes,
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      broker.cut();
      server.close();
      await new Promise<void>((resolve) => aedes.close(() => resolve()));
    },
  };
});
afterEach(() => broker.close());

const transport = (changes: Partial<MqttTransportOptions> = {}) =>
  createMqttTransport({ url: broker.url, username: testVin, password: null, tls: broker.tls, ...changes });

const wanted = (changes: Partial<ConnectOptions> = {}): ConnectOptions => ({
  clientId: testVin,
  will: { topic: topicOf(testVin, "presence"), payload: "gone", qos: 1, retain: true },
  subscriptions: [topicOf(testVin, "manifest")],
  onMessage: () => undefined,
  signedTime: new Date(0),
  signal: new AbortController().signal,
  ...changes,
});

describe("the link over TLS [SY16]", () => {
  test("a car is identified by its certificate, receives its topic and can publish", async () => {
    const { promise: heard, resolve } = Promise.withResolvers<string>();
    const link = await transport().connect(
      wanted({ onMessage: (topic, payload) => resolve(`${topic} ${payload.toString()}`) }),
    );
    expect(broker.seen).toEqual([testVin]);
    broker.aedes.publish(
      {
        cmd: "publish",
        topic: topicOf(testVin, "manifest"),
        payload: Buffer.from("hello"),
        qos: 1,
        retain: false,
        dup: false,
      },
      () => undefined,
    );
    expect(await heard).toBe(`${topicOf(testVin, "manifest")} hello`);
    await link.publish({ topic: topicOf(testVin, "report"), payload: "r", qos: 1, retain: false });
    await link.close();
    expect(await link.closed).toBeTypeOf("string");
  });

  test("a broker that another authority certified is not believed", async () => {
    const other = await makeAuthority();
    const tls = { ...broker.tls, ca: other.certificate };
    await expect(transport({ tls }).connect(wanted())).rejects.toThrow(/certificate/);
  });

  test("a publish on a link that ends is refused, not forgotten", async () => {
    broker.aedes.authorizePublish = () => broker.cut();
    const link = await transport().connect(wanted());
    const report = { topic: topicOf(testVin, "report"), payload: "r", qos: 1, retain: false } as const;
    await expect(link.publish(report)).rejects.toThrow();
    await link.closed;
    await expect(link.publish(report)).rejects.toThrow();
  });

  test("a refused subscription is no connection", async () => {
    broker.aedes.authorizeSubscribe = (_client, _subscription, done) => done(null, null);
    await expect(transport().connect(wanted())).rejects.toThrow();
  });

  test("a broker that is away is reported", async () => {
    await broker.close();
    await expect(transport().connect(wanted())).rejects.toThrow("ECONNREFUSED");
  });

  test("stopping ends a connection that is still being made", async () => {
    const stop = new AbortController();
    broker.aedes.authenticate = () => stop.abort();
    await expect(transport().connect(wanted({ signal: stop.signal }))).rejects.toThrow("stopped");
  });
});
