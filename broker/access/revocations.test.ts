import { X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hourMs } from "@caas/contract/durations.ts";
import { normalizeSerialNumber, revocationTopic } from "@caas/contract/revocation-list.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { connectAsync, type MqttClient } from "mqtt";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createAuthority, type TestAuthority } from "../testing/certificates.ts";
import {
  closeOf,
  connectCar,
  connectControlPlane,
  hear,
  type RunningBroker,
  readMetric,
  startBroker,
  subackCodes,
  testVin,
} from "../testing/fleet.ts";
import { createRevocationSigner, newSigningKey } from "../testing/revocation-signer.ts";

const signer = createRevocationSigner();
const [revoked, honest] = [testVin(801), testVin(802)];
const wholeCar = { vin: revoked, serialNumber: null };

let carCa: TestAuthority;
let server: { key: string; cert: string };
let stateDir: string;
let running: RunningBroker;
let controlPlane: MqttClient;
let businessTimeMs = Date.now();

beforeAll(async () => {
  carCa = await createAuthority("car CA");
  server = await carCa.issue({ subject: "CN=broker", usage: "server" });
});

function start(): Promise<RunningBroker> {
  return startBroker({
    tls: { host: "127.0.0.1", port: 0, ...server, clientCa: carCa.pem },
    now: () => new Date(businessTimeMs),
    rootPublicKey: signer.rootPublicKey,
    stateDir,
    limits: { certificateSweepMs: 50 },
  });
}

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), "caas-broker-"));
  running = await start();
  controlPlane = await connectControlPlane(running.tcpPort);
});
afterEach(async () => {
  businessTimeMs = Date.now();
  await controlPlane.endAsync();
  await running.broker.stop();
  await rm(stateDir, { recursive: true });
});

async function publish(messages: readonly string[]): Promise<void> {
  for (const message of messages) await controlPlane.publishAsync(revocationTopic, message, { qos: 1 });
}

async function certificateOf(subject: string, notAfter?: Date) {
  const leaf = await carCa.issue({ subject, ...(notAfter === undefined ? {} : { notAfter }) });
  return { ...leaf, serialNumber: normalizeSerialNumber(new X509Certificate(leaf.cert).serialNumber) };
}

function connectTls(vin: string, leaf: { key: string; cert: string }): Promise<MqttClient> {
  const { key, cert } = leaf;
  return connectAsync(
    `mqtts://127.0.0.1:${running.addresses.tlsPort}`,
    { clientId: vin, ca: carCa.pem, key, cert, reconnectPeriod: 0 },
    false,
  );
}

const metric = (line: string) => readMetric(running.metricsPort, line);
const lists = (result: string) => metric(`caas_broker_revocation_lists_total{result="${result}"}`);

describe("a revoked car [fault 13]", () => {
  test("its live sessions over TCP and TLS are cut at once, others stay, and its will is published", async () => {
    const second = testVin(803);
    await controlPlane.subscribeAsync(topicOf(revoked, "presence"), { qos: 1 });
    const offline = hear(controlPlane, 1);
    const will = {
      topic: topicOf(revoked, "presence"),
      payload: Buffer.from("offline"),
      qos: 1,
      retain: true,
    } as const;
    const overTcp = await connectCar(running.tcpPort, revoked, { will });
    const overTls = await connectTls(second, await certificateOf(`CN=${second}`));
    const bystander = await connectCar(running.tcpPort, honest);
    await bystander.subscribeAsync(topicOf(honest, "manifest"), { qos: 1 });
    const closed = Promise.all([closeOf(overTcp), closeOf(overTls)]);
    const publishedAtMs = performance.now();
    await publish(signer.messages(1, [wholeCar, { vin: second, serialNumber: null }]));
    await closed;
    expect(performance.now() - publishedAtMs).toBeLessThan(5_000); // of the 60 s allowed
    expect(await offline).toMatchObject([{ payload: "offline" }]);
    expect(await metric('caas_broker_connections_cut_total{reason="revoked"}')).toBe(2);
    const heard = hear(bystander, 1);
    await controlPlane.publishAsync(topicOf(honest, "manifest"), "served", { qos: 1 });
    expect(await heard).toMatchObject([{ payload: "served" }]);
    await bystander.endAsync();
  });

  test("it is refused on every transport: by password with CONNACK 5, over TLS before MQTT begins", async () => {
    await publish(signer.messages(1, [wholeCar]));
    await expect(connectCar(running.tcpPort, revoked)).rejects.toMatchObject({ code: 5 });
    await expect(connectTls(revoked, await certificateOf(`CN=${revoked}`))).rejects.toThrow();
    expect(await metric('caas_broker_connects_refused_total{transport="tcp",reason="revoked"}')).toBe(1);
    expect(await metric('caas_broker_connects_refused_total{transport="tls",reason="revoked"}')).toBe(1);
  });

  test("a revoked certificate is refused, the car with its next certificate is not", async () => {
    const [stolen, next] = [await certificateOf(`CN=${revoked}`), await certificateOf(`CN=${revoked}`)];
    const thief = await connectTls(revoked, stolen);
    const cut = closeOf(thief);
    await publish(signer.messages(1, [{ vin: revoked, serialNumber: stolen.serialNumber }]));
    await cut;
    await expect(connectTls(revoked, stolen)).rejects.toThrow();
    const car = await connectTls(revoked, next);
    await car.endAsync();
  });

  test("it stays refused after a restart of the broker, before the control plane is back", async () => {
    await publish(signer.messages(3, [wholeCar]));
    await controlPlane.endAsync();
    await running.broker.stop();
    running = await start();
    expect(await metric("caas_broker_revocation_list_version")).toBe(3);
    await expect(connectCar(running.tcpPort, revoked)).rejects.toMatchObject({ code: 5 });
    controlPlane = await connectControlPlane(running.tcpPort);
    await publish(signer.messages(2, []));
    await expect(connectCar(running.tcpPort, revoked)).rejects.toMatchObject({ code: 5 });
  });

  test("a stored list that was altered has no effect, and the broker starts", async () => {
    await controlPlane.endAsync();
    await running.broker.stop();
    const foreign = createRevocationSigner().messages(9, [{ vin: honest, serialNumber: null }]);
    await writeFile(join(stateDir, "revocations.json"), JSON.stringify({ parts: foreign }));
    running = await start();
    controlPlane = await connectControlPlane(running.tcpPort);
    const car = await connectCar(running.tcpPort, honest);
    await car.endAsync();
    expect(await lists("forged")).toBe(1);
  });

  test("a list of many parts comes into force with the last part, in any order", async () => {
    const many = Array.from({ length: 900 }, (_, index) => ({
      vin: testVin(10_000 + index),
      serialNumber: null,
    }));
    const parts = signer.messages(1, [...many, wholeCar]);
    expect(parts).toHaveLength(3);
    const [first = "", second = "", third = ""] = parts;
    const car = await connectCar(running.tcpPort, revoked);
    const cut = closeOf(car);
    await publish([third, second]);
    expect([await lists("incomplete"), car.connected]).toEqual([2, true]);
    await publish([first]);
    await cut;
    expect(await metric("caas_broker_revocation_list_entries")).toBe(901);
  });

  test("the longest possible part fits into a packet", async () => {
    const longest = Array.from({ length: 400 }, () => ({ vin: revoked, serialNumber: "f".repeat(40) }));
    const keySet = signer.keySetOf(1, [signer.key, ...Array.from({ length: 15 }, newSigningKey)]);
    const [part = ""] = signer.messages(1, longest, { keySet });
    expect(part.length).toBeLessThan(56 * 1024);
    await publish([part]);
    expect(await lists("accepted")).toBe(1);
  });

  test("a newer list without it admits it again", async () => {
    await publish(signer.messages(1, [wholeCar]));
    await publish(signer.messages(2, []));
    const car = await connectCar(running.tcpPort, revoked);
    await car.endAsync();
  });
});

describe("a list that must have no effect [fault 8, fault 13]", () => {
  const target = [{ vin: honest, serialNumber: null }];
  const stranger = newSigningKey();
  const cases: [string, string, () => string[]][] = [
    ["older than the one in force", "older", () => signer.messages(4, target)],
    [
      "of the same version, made earlier",
      "older",
      () => signer.messages(5, target, { issuedAt: new Date(0) }),
    ],
    [
      "signed by a stranger's key",
      "forged",
      () => signer.messages(6, target, { keySet: signer.keySetOf(2, [signer.key]), key: stranger }),
    ],
    ["under a stranger's root", "forged", () => createRevocationSigner().messages(6, target)],
    [
      "signed by a retired key, with the key set of then",
      "older",
      () => signer.messages(6, target, { keySet: signer.keySetOf(1, [stranger]), key: stranger }),
    ],
    ["no list at all", "malformed", () => ["{}"]],
  ];
  test.each(cases)("%s: counted, and no session is cut", async (_, result, make) => {
    await publish(signer.messages(5, [], { keySet: signer.keySetOf(2, [signer.key]) }));
    const car = await connectCar(running.tcpPort, honest);
    await publish(make());
    expect(await lists(result)).toBe(1);
    expect(await metric("caas_broker_revocation_list_version")).toBe(5);
    await car.publishAsync(topicOf(honest, "report"), "still here", { qos: 1 });
    await car.endAsync();
  });

  test("only the control plane may publish one, and no client may subscribe to it", async () => {
    const car = await connectCar(running.tcpPort, honest);
    expect(await subackCodes(car, [revocationTopic])).toEqual([128]);
    expect(await subackCodes(controlPlane, [revocationTopic])).toEqual([128]);
    const closed = closeOf(car);
    const [message = ""] = signer.messages(1, [wholeCar]);
    car.publish(revocationTopic, message, { qos: 0 });
    await closed;
    expect(await metric("caas_broker_revocation_list_version")).toBe(0);
  });

  test("a broker without a root accepts none and logs that", async () => {
    const rootless = await startBroker();
    const speaker = await connectControlPlane(rootless.tcpPort);
    const [message = ""] = signer.messages(1, [wholeCar]);
    await speaker.publishAsync(revocationTopic, message, { qos: 1 });
    const line = 'caas_broker_revocation_lists_total{result="unverifiable"}';
    expect(await readMetric(rootless.metricsPort, line)).toBe(1);
    await speaker.endAsync();
    await rootless.broker.stop();
  });
});

test("a session whose certificate ends in business time is cut, a fresh one is not [fault 11]", async () => {
  const short = await connectTls(
    revoked,
    await certificateOf(`CN=${revoked}`, new Date(Date.now() + hourMs)),
  );
  const long = await connectTls(
    honest,
    await certificateOf(`CN=${honest}`, new Date(Date.now() + 5 * hourMs)),
  );
  const cut = closeOf(short);
  businessTimeMs += 2 * hourMs;
  await cut;
  expect(await metric('caas_broker_connections_cut_total{reason="certificate-expired"}')).toBe(1);
  expect(long.connected).toBe(true);
  await long.endAsync();
});
