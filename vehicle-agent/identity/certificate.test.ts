import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBusinessTime } from "@caas/contract/business-clock.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { exportPublicKey, verifyingKeyFrom } from "@caas/contract/jws.ts";
import { manifestHash } from "@caas/contract/manifest.ts";
import type { RenewalResponse } from "@caas/contract/renewal.ts";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Agent, createAgent } from "../agent.ts";
import { openJournal } from "../change/journal.ts";
import { type AgentClock, agentClock } from "../clock/agent-clock.ts";
import { type Failpoint, type FailpointName, failAt, PowerLoss } from "../failpoints.ts";
import { startHttpServer } from "../http.ts";
import { createMqttTransport } from "../link/mqtt-transport.ts";
import { createAgentMetrics } from "../metrics.ts";
import { type AgentStorage, openDirectoryStorage } from "../storage/storage.ts";
import { createFaultyAdapter } from "../testing/faulty-adapter.ts";
import { makeAuthority } from "../testing/test-authority.ts";
import { createTestClock, type TestClock } from "../testing/test-clock.ts";
import { startTestRenewals, type TestRenewals } from "../testing/test-renewals.ts";
import { createTestSigner, entry, makeSigningKey, otherVin, testVin } from "../testing/test-signer.ts";
import { startTlsBroker, type TlsBroker } from "../testing/tls-broker.ts";
import { createCertificateKeeper } from "./certificate-keeper.ts";
import { readCertificateLife } from "./certificate-life.ts";
import { keySetFileName, loadIdentity, saveIdentity } from "./identity.ts";
import { ensureCarKeys, makeTlsKey, tlsPublicKeyOf } from "./keys.ts";

// The certificate is renewed over HTTP by the proof of the enrolled key; the link is real TLS.

const lifeMs = 90 * dayMs;
const start = new Date("2026-03-01T08:00:00.000Z");
const base = entry("plataformaBase");
const seats = entry("asientosCalefactables");

let root: string;
let authority: Awaited<ReturnType<typeof makeAuthority>>;
let signer: ReturnType<typeof createTestSigner>;
let broker: TlsBroker;
let renewals: TestRenewals;
let agents: Agent[];
let clock: TestClock;
/** The clock of all parts; a test may replace it before its first car. */
let time: AgentClock;
let keySet: string;
let proofPublicKey: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "caas-certificate-"));
  authority = await makeAuthority();
  signer = createTestSigner();
  keySet = signer.keySet(1);
  clock = createTestClock(start);
  time = clock;
  agents = [];
  const storage = await openDirectoryStorage(root);
  const keys = await ensureCarKeys(storage);
  proofPublicKey = exportPublicKey(createPrivateKey(keys.proofKeyPem));
  broker = await startTlsBroker(authority, () => time.now());
  renewals = await startTestRenewals({
    vin: testVin,
    proofPublicKey,
    authority,
    now: () => time.now(),
    lifeMs,
    keySet: () => keySet,
  });
  await storage.write(keySetFileName, keySet);
  await saveIdentity(storage, {
    vin: testVin,
    rootPublicKey: signer.root.x,
    controlPlaneUrl: renewals.url,
    certificate: await authority.certifyCar(testVin, tlsPublicKeyOf(keys.tlsKeyPem), {
      notBefore: start,
      notAfter: new Date(start.getTime() + lifeMs),
    }),
    brokerCa: authority.certificate,
    broker: { url: broker.url, username: testVin, password: null },
  });
});
afterEach(async () => {
  for (const agent of agents) await agent.stop();
  await broker.close();
  await renewals.close();
  await rm(root, { recursive: true, force: true });
});

async function identityOf(storage: AgentStorage) {
  const identity = await loadIdentity(storage);
  if (identity === null) throw new Error("the car is not enrolled");
  return identity;
}

/** The car as it boots from its disk; not started. */
async function makeCar(changes: { failpoint?: Failpoint } = {}) {
  const storage = await openDirectoryStorage(root);
  const identity = await identityOf(storage);
  const shared = { identity, storage, clock: time, random: () => 0, ...changes };
  const certificates = createCertificateKeeper(shared);
  const metrics = createAgentMetrics();
  const agent = createAgent({
    ...shared,
    certificates,
    metrics,
    adapter: createFaultyAdapter(),
    logger: pino({ level: "silent" }),
    transport: createMqttTransport({
      ...identity.broker,
      tls() {
        const { certificate, tlsKeyPem, brokerCa } = certificates.credential;
        return { certificate, key: tlsKeyPem, ca: brokerCa };
      },
    }),
  });
  agents.push(agent);
  return { agent, certificates, metrics, enrolled: identity };
}

async function startCar() {
  const car = await makeCar();
  const connected = once(car.agent, "connected");
  await car.agent.start();
  await connected;
  return car;
}

const onDisk = async () => (await identityOf(await openDirectoryStorage(root))).link;
const report = (isWanted?: Parameters<TlsBroker["nextReport"]>[2], skip?: number) =>
  broker.nextReport(testVin, verifyingKeyFrom(proofPublicKey), isWanted, skip);

describe("when a certificate is renewed", () => {
  test("from two thirds of its life, spread over a twelfth of it, each at its own fixed place", async () => {
    const shares = await Promise.all(
      Array.from({ length: 24 }, async () => {
        const pem = await authority.certifyCar(testVin, tlsPublicKeyOf(makeTlsKey()), {
          notBefore: start,
          notAfter: new Date(start.getTime() + lifeMs),
        });
        const life = readCertificateLife(pem);
        expect(readCertificateLife(pem)).toEqual(life);
        expect(life.validUntil.getTime() - life.validFrom.getTime()).toBe(lifeMs);
        return (life.renewFrom.getTime() - start.getTime()) / lifeMs;
      }),
    );
    expect(Math.min(...shares)).toBeGreaterThanOrEqual(2 / 3);
    expect(Math.max(...shares)).toBeLessThanOrEqual(3 / 4);
    expect(Math.max(...shares) - Math.min(...shares)).toBeGreaterThan(1 / 36);
  });

  test.each([
    { days: 0, requests: 0 },
    { days: 59, requests: 0 },
    { days: 68, requests: 1 },
    { days: 90, requests: 1 },
    { days: 1000, requests: 1 },
  ])("a boot at day $days of 90 asks $requests times before it connects", async ({ days, requests }) => {
    const { enrolled, agent } = await makeCar();
    clock.advance(days * dayMs);
    const connected = once(agent, "connected");
    await agent.start();
    await connected;
    expect(renewals.requests).toBe(requests);
    expect(broker.refused).toBe(0);
    expect(broker.taken).toHaveLength(1);
    const { present, former } = await onDisk();
    expect(present.certificate === enrolled.certificate).toBe(requests === 0);
    expect(present.tlsKeyPem === enrolled.tlsKeyPem).toBe(requests === 0);
    expect(former).toBeNull();
  });

  test("while connected: renewed in time repeatedly, each certificate proved by a new connection", async () => {
    // A day in 10 ms.
    time = agentClock(
      formatBusinessTime({ realMs: Date.now(), businessMs: start.getTime(), scale: dayMs / 10 }),
    );
    const { agent, metrics } = await makeCar();
    await agent.start();
    for (let round = 0; round < 2; round += 1) {
      await once(agent, "certificateRenewed");
      await once(agent, "connected");
    }
    expect(broker.refused).toBe(0);
    expect(new Set(broker.taken).size).toBeGreaterThanOrEqual(3);
    expect(await metrics.registry.metrics()).toMatch(
      /caas_agent_certificate_renewals_total\{result="renewed"\} [2-9]/,
    );
  });
});

describe("a car that slept a year", () => {
  test("keys rotated twice, certificate expired: it comes back and converges unaided", async () => {
    const first = await startCar();
    await broker.send(
      testVin,
      "manifest",
      signer.manifest({ vin: testVin, proofKey: { kid: verifyingKeyFrom(proofPublicKey).kid } }, 1, [base]),
    );
    await report(({ outcome }) => outcome?.version === 1);
    await first.agent.stop();

    clock.advance(365 * dayMs);
    const [second, third] = [makeSigningKey(), makeSigningKey()];
    signer.keySet(2, [second]);
    keySet = signer.keySet(3, [third]);
    const seen = broker.messages.length;
    const { agent } = await startCar();
    expect(broker.refused).toBe(0);
    expect(renewals.requests).toBe(1);
    await report(({ keySetVersion }) => keySetVersion === 3, seen);
    const to = { vin: testVin, proofKey: { kid: verifyingKeyFrom(proofPublicKey).kid } };
    await broker.send(
      testVin,
      "manifest",
      signer.manifest(to, 2, [base, seats], {
        signer: third,
        keySetVersion: 3,
        issuedAt: clock.now().toISOString(),
      }),
    );
    const proved = await report(({ outcome }) => outcome?.version === 2, seen);
    expect(proved).toMatchObject({
      active: { version: 2, hash: manifestHash([base, seats]) },
      outcome: { result: "applied", appliedAt: clock.now().toISOString() },
      keySetVersion: 3,
    });
    expect(agent.state().certificateValidUntil).toBe(new Date(clock.now().getTime() + lifeMs).toISOString());
    const { trustedTimeMs } = (await openJournal(await openDirectoryStorage(root), "")).record;
    expect(trustedTimeMs).toBeGreaterThanOrEqual(clock.now().getTime());
  });

  test("the control plane is away when it wakes: it asks before every connection until it is there", async () => {
    renewals.failNext(503, 500);
    clock.advance(365 * dayMs);
    const { agent } = await startCar();
    expect(renewals.requests).toBe(3);
    expect(broker.refused).toBe(2);
    expect(agent.state().connected).toBe(true);
  });

  test("a refused car keeps trying its link, and does not ask every time", async () => {
    renewals.failNext(403, 403);
    clock.advance(365 * dayMs);
    const { agent } = await makeCar();
    const failed = once(agent, "renewalFailed");
    await agent.start();
    expect(await failed).toEqual(["as the test wished"]);
    for (let count = 0; count < 3; count += 1) await once(agent, "disconnected");
    expect(renewals.requests).toBe(1);
  });
});

describe("renewal that does not succeed", () => {
  const due = () => clock.advance(80 * dayMs);

  test("the old certificate serves while it lasts, and the next try is later", async () => {
    due();
    renewals.failNext(503);
    const { agent, enrolled, certificates } = await makeCar();
    const failed = once(agent, "renewalFailed");
    const connected = once(agent, "connected");
    await agent.start();
    await failed;
    await connected;
    expect((await onDisk()).present.certificate).toBe(enrolled.certificate);
    expect(certificates.dueInMs(clock.now())).toBeGreaterThan(0);
    expect(await certificates.prepare(clock.now())).toEqual({ kind: "notDue" });
    clock.advance(dayMs);
    expect(certificates.dueInMs(clock.now())).toBe(0);
    expect(await certificates.prepare(clock.now())).toMatchObject({ kind: "renewed" });
  });

  test("asked twice at once, one request is made", async () => {
    due();
    const { certificates } = await makeCar();
    const both = await Promise.all([certificates.prepare(clock.now()), certificates.prepare(clock.now())]);
    expect(both.map(({ kind }) => kind)).toEqual(["renewed", "renewed"]);
    expect(renewals.requests).toBe(1);
  });

  const attacks: {
    attack: string;
    tamper: (answer: RenewalResponse) => RenewalResponse | Promise<RenewalResponse>;
    detail: string;
  }[] = [
    {
      attack: "a key set that the pinned root did not sign",
      tamper: (answer) => ({ ...answer, keySet: createTestSigner().keySet(9) }),
      detail: "the key set is untrusted under the pinned root",
    },
    {
      attack: "no certificate",
      tamper: (answer) => ({ ...answer, certificate: "certificate" }),
      detail: "the certificate cannot be read",
    },
    {
      attack: "a certificate for another key",
      tamper: async (answer) => ({
        ...answer,
        certificate: await authority.certifyCar(testVin, tlsPublicKeyOf(makeTlsKey())),
      }),
      detail: "the certificate is for another key",
    },
  ];
  test.each(attacks)("$attack is not accepted, and nothing is stored", async ({ tamper, detail }) => {
    due();
    const prepared = await tamper({ certificate: "", brokerCa: authority.certificate, keySet });
    renewals.tamper = (answer) => ({
      ...answer,
      ...(prepared.certificate === "" ? {} : { certificate: prepared.certificate }),
      keySet: prepared.keySet,
    });
    const { certificates, enrolled } = await makeCar();
    expect(await certificates.prepare(clock.now())).toEqual({ kind: "failed", detail });
    expect(await onDisk()).toEqual({ present: enrolled.link.present, former: null });
  });

  test("a certificate that ends no later than the present one is of no use", async () => {
    due();
    renewals.lifeMs = 9 * dayMs;
    const { certificates, enrolled } = await makeCar();
    expect(await certificates.prepare(clock.now())).toEqual({
      kind: "failed",
      detail: "the certificate ends no later than ours",
    });
    expect((await onDisk()).present).toEqual(enrolled.link.present);
  });

  test("a broker that does not take the new one gets the old one; another is asked for later", async () => {
    const { agent, enrolled, certificates } = await makeCar();
    due();
    broker.isTaken = (certificate) => certificate.trim() === enrolled.certificate.trim();
    const connected = once(agent, "connected");
    await agent.start();
    await connected;
    expect(renewals.requests).toBe(1);
    expect(broker.refused).toBe(3);
    expect(await onDisk()).toEqual({ present: enrolled.link.present, former: null });
    broker.isTaken = () => true;
    clock.advance(dayMs);
    expect(await certificates.prepare(clock.now())).toMatchObject({ kind: "renewed" });
  });

  test("the old one is kept until a broker has taken the new one", async () => {
    due();
    const { certificates, enrolled } = await makeCar();
    await certificates.prepare(clock.now());
    const renewed = await onDisk();
    expect(renewed.former).toEqual(enrolled.link.present);
    expect(renewed.present.tlsKeyPem).not.toBe(enrolled.tlsKeyPem);
    await certificates.accepted();
    expect(await onDisk()).toEqual({ present: renewed.present, former: null });
    expect((await stat(join(root, "keys", "link.json"))).mode & 0o777).toBe(0o600);
  });

  test.each<{ step: FailpointName; requests: number }>([
    { step: "beforeCertificate", requests: 2 },
    { step: "afterCertificate", requests: 1 },
  ])("power lost $step: it comes back after $requests requests [fault 9]", async ({ step, requests }) => {
    due();
    const failpoint = failAt({ name: step, passage: 1 }, () => {
      throw new PowerLoss();
    });
    const doomed = await makeCar({ failpoint });
    const died = once(doomed.agent, "died");
    await doomed.agent.start();
    await died;
    const { certificates } = await startCar();
    expect(renewals.requests).toBe(requests);
    expect(certificates.validUntil.getTime()).toBe(clock.now().getTime() + lifeMs);
    expect((await onDisk()).former).toBeNull();
  });

  test("a certificate of another car cannot be had with this car's proof", async () => {
    due();
    const storage = await openDirectoryStorage(root);
    const identity = { ...(await identityOf(storage)), vin: otherVin };
    const certificates = createCertificateKeeper({ identity, storage, clock, random: () => 0 });
    expect(await certificates.prepare(clock.now())).toEqual({ kind: "failed", detail: "the proof is wrong" });
  });
});

test("/health tells when the certificate ends", async () => {
  const { agent, metrics } = await startCar();
  const http = await startHttpServer(0, agent, metrics);
  expect(await (await fetch(`${http.url}/health`)).json()).toMatchObject({
    vin: testVin,
    connected: true,
    lifecycle: "idle",
    deferred: null,
    certificateValidUntil: new Date(start.getTime() + lifeMs).toISOString(),
  });
  await http.close();
});
