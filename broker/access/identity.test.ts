import { X509Certificate } from "node:crypto";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { hourMs } from "@caas/contract/durations.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { connectAsync, type MqttClient } from "mqtt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority, type LeafRequest, type TestAuthority } from "../testing/certificates.ts";
import {
  connectControlPlane,
  hear,
  type RunningBroker,
  readMetric,
  startBroker,
  testVin,
} from "../testing/fleet.ts";
import { connectPacket, converse, openRaw } from "../testing/raw-connection.ts";
import { judgeCertificate, readAuthorities } from "./identity.ts";

let carCa: TestAuthority;
let foreignCa: TestAuthority;
let running: RunningBroker;
let tlsPort: number;
let businessTimeMs = Date.now();

beforeAll(async () => {
  carCa = await createAuthority("car CA");
  foreignCa = await createAuthority("car CA"); // the same name: only the signature tells them apart
  const server = await carCa.issue({ subject: "CN=broker", usage: "server" });
  running = await startBroker({
    tls: { host: "127.0.0.1", port: 0, ...server, clientCa: carCa.pem },
    now: () => new Date(businessTimeMs),
  });
  tlsPort = running.addresses.tlsPort ?? 0;
});
afterAll(() => running.broker.stop());

type Credentials = { key: string; cert: string };

function connectWith(credentials: Credentials | undefined, clientId: string): Promise<MqttClient> {
  const options = { clientId, ca: carCa.pem, reconnectPeriod: 0, ...credentials };
  return connectAsync(`mqtts://127.0.0.1:${tlsPort}`, options, false);
}

function openTls(credentials: Credentials | undefined): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: "127.0.0.1", port: tlsPort, ca: carCa.pem, ...credentials }, () =>
      resolve(socket),
    );
    socket.once("error", reject);
  });
}

const refusals = (reason: string) =>
  readMetric(running.metricsPort, `caas_broker_connects_refused_total{transport="tls",reason="${reason}"}`);

describe("over mutual TLS the certificate is the identity [SY9]", () => {
  test("a car and the control plane communicate without a password", async () => {
    const vin = testVin(1);
    const controlPlane = await connectWith(
      await carCa.issue({ subject: "CN=control-plane,OU=control-plane" }),
      "control-plane-1",
    );
    await controlPlane.subscribeAsync("caas/v1/+/report", { qos: 1 });
    const heard = hear(controlPlane, 1);
    const car = await connectWith(await carCa.issue({ subject: `CN=${vin}` }), vin);
    await car.publishAsync(topicOf(vin, "report"), "applied", { qos: 1 });
    expect(await heard).toMatchObject([{ payload: "applied" }]);
    expect(
      await readMetric(running.metricsPort, 'caas_broker_connected_clients{transport="tls",identity="car"}'),
    ).toBe(1);
    await Promise.all([car.endAsync(), controlPlane.endAsync()]);
  });

  test("a European VIN without a North American check digit is a car's identity [F1]", async () => {
    const vin = parseVin("VSSZZZ5FZJR000001");
    const car = await connectWith(await carCa.issue({ subject: `CN=${vin}` }), vin);
    await car.publishAsync(topicOf(vin, "report"), "applied", { qos: 1 });
    await car.endAsync();
  });

  test("certificate A with client id B is refused; B stays connected [fault 12]", async () => {
    const [a, b] = [testVin(2), testVin(3)];
    const carB = await connectWith(await carCa.issue({ subject: `CN=${b}` }), b);
    await carB.subscribeAsync(topicOf(b, "manifest"), { qos: 1 });
    const heard = hear(carB, 1);
    const certificateA = await carCa.issue({ subject: `CN=${a}` });
    await expect(connectWith(certificateA, b)).rejects.toMatchObject({ code: 2 });
    const controlPlane = await connectControlPlane(running.tcpPort);
    await controlPlane.publishAsync(topicOf(b, "manifest"), "still here", { qos: 1 });
    expect(await heard).toMatchObject([{ payload: "still here" }]);
    await Promise.all([carB.endAsync(), controlPlane.endAsync()]);
  });

  test("size and keep-alive are judged over TLS as well [fault 16, fault 18]", async () => {
    const vin = testVin(4);
    const credentials = await carCa.issue({ subject: `CN=${vin}` });
    const huge = converse(await openTls(credentials));
    huge.send(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]));
    await huge.closed;
    const sleepy = converse(await openTls(credentials));
    sleepy.send(connectPacket(vin, { keepalive: 65_535 }));
    expect(await sleepy.next()).toMatchObject({ cmd: "connack", returnCode: 5 });
    await sleepy.closed;
  });
});

describe("no certificate, foreign CA, expired: closed before any state is stored [fault 11]", () => {
  const past = { notBefore: new Date(Date.now() - 3 * hourMs), notAfter: new Date(Date.now() - hourMs) };
  const vin = testVin(5);
  const subject = `CN=${vin}`;

  test.each<[string, () => Promise<Credentials | undefined>, string]>([
    ["no certificate", async () => undefined, "no-certificate"],
    ["a foreign CA", () => foreignCa.issue({ subject }), "foreign-authority"],
    [
      "a foreign CA hidden behind an expired date",
      () => foreignCa.issue({ subject, ...past }),
      "foreign-authority",
    ],
    ["an expired certificate", () => carCa.issue({ subject, ...past }), "certificate-dates"],
    ["a subject that is no VIN", () => carCa.issue({ subject: "CN=somebody" }), "certificate-subject"],
    [
      "two names at once",
      () => carCa.issue({ subject: `CN=${vin},CN=control-plane` }),
      "certificate-subject",
    ],
    [
      "the control plane's name alone",
      () => carCa.issue({ subject: "CN=control-plane" }),
      "certificate-subject",
    ],
    ["a server's certificate", () => carCa.issue({ subject, usage: "server" }), "foreign-authority"],
  ])("%s", async (_, issue, reason) => {
    const before = await refusals(reason);
    const rightful = await connectWith(await carCa.issue({ subject }), vin);
    const attempt = converse(await openTls(await issue()));
    attempt.send(connectPacket(vin));
    expect(await attempt.next()).toBeUndefined();
    expect(await refusals(reason)).toBe(before + 1);
    expect(rightful.connected).toBe(true);
    await rightful.endAsync();
  });

  test("a peer that does not speak TLS at all", async () => {
    const before = await refusals("tls-handshake");
    const raw = await openRaw(tlsPort);
    raw.send(connectPacket(vin));
    await raw.closed;
    expect(await refusals("tls-handshake")).toBe(before + 1);
  });
});

describe("dates are judged by business time [fault 11]", () => {
  test.each([
    ["expired by the machine's clock, valid in business time", -10, "accepted"],
    ["not yet valid by the machine's clock, valid in business time", 10, "accepted"],
    ["valid by the machine's clock, expired in business time", 0, "refused"],
  ])("%s", async (_, certificateHoursFromNow, expected) => {
    const vin = testVin(6);
    const validFromMs = Date.now() + certificateHoursFromNow * hourMs;
    const credentials = await carCa.issue({
      subject: `CN=${vin}`,
      notBefore: new Date(validFromMs - hourMs),
      notAfter: new Date(validFromMs + hourMs),
    });
    businessTimeMs = expected === "accepted" ? validFromMs : validFromMs + 2 * hourMs;
    try {
      const conversation = converse(await openTls(credentials));
      conversation.send(connectPacket(vin));
      const answer = await conversation.next();
      expect(answer?.cmd === "connack" && answer.returnCode === 0).toBe(expected === "accepted");
      conversation.socket.destroy();
    } finally {
      businessTimeMs = Date.now();
    }
  });
});

describe("a certificate is judged whatever the verdict of TLS", () => {
  const leaf = async (authority: TestAuthority, request: LeafRequest) =>
    new X509Certificate((await authority.issue(request)).cert);
  const subject = `CN=${testVin(7)}`;

  test("a foreign signature is refused even if TLS calls it authorized", async () => {
    const certificate = await leaf(foreignCa, { subject });
    expect(
      judgeCertificate(
        { certificate, authorized: true, errorCode: undefined },
        readAuthorities(carCa.pem),
        new Date(),
      ),
    ).toEqual({ status: "refused", reason: "foreign-authority" });
  });

  test("an objection that is not about dates is final", async () => {
    const certificate = await leaf(carCa, { subject });
    const presented = { certificate, authorized: false, errorCode: "INVALID_PURPOSE" };
    expect(judgeCertificate(presented, readAuthorities(carCa.pem), new Date())).toEqual({
      status: "refused",
      reason: "foreign-authority",
    });
  });

  test("a server's certificate is refused even if the date hid TLS's objection", async () => {
    const certificate = await leaf(carCa, { subject, usage: "server" });
    const presented = { certificate, authorized: false, errorCode: "CERT_HAS_EXPIRED" };
    expect(judgeCertificate(presented, readAuthorities(carCa.pem), new Date())).toEqual({
      status: "refused",
      reason: "certificate-subject",
    });
  });

  test("an expired authority vouches for no certificate", async () => {
    const afterAll = new Date("2095-01-01T00:00:00Z");
    const certificate = await leaf(carCa, { subject, notAfter: new Date("2099-01-01T00:00:00Z") });
    const presented = { certificate, authorized: true, errorCode: undefined };
    expect(judgeCertificate(presented, readAuthorities(carCa.pem), afterAll)).toEqual({
      status: "refused",
      reason: "certificate-dates",
    });
  });

  test("each of two authorities in the bundle vouches", async () => {
    const certificate = await leaf(foreignCa, { subject });
    const both = readAuthorities(`${carCa.pem}\n${foreignCa.pem}`);
    expect(
      judgeCertificate({ certificate, authorized: true, errorCode: undefined }, both, new Date()),
    ).toMatchObject({
      status: "known",
      identity: { kind: "car", vin: testVin(7) },
    });
  });

  test("a bundle without a certificate stops the start", () => {
    expect(() => readAuthorities("nothing")).toThrow(/no certificate/);
  });
});
