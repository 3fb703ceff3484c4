import { createPrivateKey } from "node:crypto";
import { exportPublicKey } from "@caas/contract/jws.ts";
import { makeCarKeys, tlsPublicKeyOf } from "@caas/vehicle-agent/identity/keys.ts";
import { afterEach, beforeEach, expect, test } from "vitest";
import { makeAuthority } from "../../vehicle-agent/testing/test-authority.ts";
import { createTestClock, type TestClock } from "../../vehicle-agent/testing/test-clock.ts";
import { startTestRenewals, type TestRenewals } from "../../vehicle-agent/testing/test-renewals.ts";
import { createTestSigner, testVin } from "../../vehicle-agent/testing/test-signer.ts";
import { startTlsBroker, type TlsBroker } from "../../vehicle-agent/testing/tls-broker.ts";
import { createFleet, type Fleet } from "./fleet.ts";

const dayMs = 86_400_000;
const lifeMs = 90 * dayMs;
const signer = createTestSigner();
const keys = makeCarKeys();
let clock: TestClock;
let broker: TlsBroker;
let renewals: TestRenewals;
let fleet: Fleet;

beforeEach(async () => {
  clock = createTestClock();
  const authority = await makeAuthority();
  broker = await startTlsBroker(authority, clock.now);
  renewals = await startTestRenewals({
    vin: testVin,
    proofPublicKey: exportPublicKey(createPrivateKey(keys.proofKeyPem)),
    authority,
    now: clock.now,
    lifeMs,
    keySet: () => signer.keySet(1),
  });
  const notBefore = clock.now();
  const certificate = await authority.certifyCar(testVin, tlsPublicKeyOf(keys.tlsKeyPem), {
    notBefore,
    notAfter: new Date(notBefore.getTime() + lifeMs),
  });
  const car = {
    ...keys,
    vin: testVin,
    rootPublicKey: signer.root.x,
    controlPlaneUrl: renewals.url,
    certificate,
    brokerCa: authority.certificate,
    broker: { url: broker.url, username: testVin, password: null },
    keySet: signer.keySet(1),
  };
  fleet = await createFleet({ credentials: [car], storage: "memory", seed: 1, clock });
});
afterEach(async () => {
  await fleet.stop();
  await broker.close();
  await renewals.close();
});

test("cars with certificates connect over TLS, and one that slept a year comes back with a new one [SY16]", async () => {
  await fleet.start();
  expect(fleet.counts.connected).toBe(1);
  const car = fleet.cars.get(testVin);
  const before = car?.state().certificateValidUntil;
  await car?.sleep();
  clock.advance(365 * dayMs);
  await car?.wake();
  expect(fleet.counts.connected).toBe(1);
  expect(renewals.requests).toBe(1);
  expect(Date.parse(before ?? "")).toBeLessThan(clock.now().getTime());
  expect(Date.parse(car?.state().certificateValidUntil ?? "")).toBeGreaterThan(clock.now().getTime());
});
