import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dayMs } from "@caas/contract/durations.ts";
import { thumbprintOf, verifyingKeyFrom } from "@caas/contract/jws.ts";
import { keysValidAt, verifyKeySet } from "@caas/contract/key-set.ts";
import { type Manifest, signManifest } from "@caas/contract/manifest.ts";
import { topicOf } from "@caas/contract/topics.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createFakeClock } from "../testing/fakes.ts";
import { startTestFleet, type TestCar, type TestFleet } from "../testing/fixtures/fleet.ts";
import { openKeyRing } from "./key-ring.ts";
import { createMqttLink } from "./mqtt-link.ts";
import { revokeKey, rotateKeys } from "./rotate-keys.ts";

describe("the keys in a folder", () => {
  let folder: string;
  const clock = createFakeClock(new Date("2026-03-02T09:00:00Z"));
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "caas-keys-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test("a rotated key signs at once; the old one verifies for 30 days, and its private half is deleted", async () => {
    const ring = await openKeyRing(folder, clock);
    const old = ring.signingKey;
    const oldToken = ring.keySetToken;
    await rotateKeys(folder, clock);
    expect(ring.signingKey.kid).toBe(old.kid);
    expect(await ring.refresh()).toBe(true);
    expect(await ring.refresh()).toBe(false);
    expect([ring.keySet.version, ring.keySet.keys[0]?.kid]).toEqual([2, ring.signingKey.kid]);
    expect(ring.signingKey.kid).not.toBe(old.kid);
    const validIn = (days: number) => {
      const at = new Date(clock.now().getTime() + days * dayMs);
      return keysValidAt(ring.keySet, at).has(old.kid);
    };
    expect([validIn(0), validIn(29.9), validIn(30)]).toEqual([true, true, false]);
    const privateKeys = (await readdir(folder)).filter((name) => name.startsWith("signing"));
    expect(privateKeys).toEqual([`signing-${ring.signingKey.kid}.pem`]);
    expect((await stat(join(folder, privateKeys[0] ?? ""))).mode & 0o777).toBe(0o600);
    const root = verifyingKeyFrom(ring.rootPublicKey);
    expect(verifyKeySet(ring.keySetToken, root, 1).kind).toBe("accepted");
    expect(verifyKeySet(oldToken, root, 2)).toEqual({ kind: "refused", reason: "older" });
  });

  test("an old key leaves the set, and the folder opens again unchanged", async () => {
    await openKeyRing(folder, clock);
    const first = await rotateKeys(folder, clock);
    clock.advanceMs(31 * dayMs);
    const second = await rotateKeys(folder, clock);
    expect(second.keys.map(({ kid }) => kid)).toContain(first.keys[0]?.kid);
    expect([first.keys.length, second.keys.length]).toEqual([2, 2]);
    expect((await openKeyRing(folder, clock)).keySet).toEqual(second);
  });

  test("revoking removes a key at once, also the current one; an unknown key is refused", async () => {
    await openKeyRing(folder, clock);
    const rotated = await rotateKeys(folder, clock);
    const [current, old] = rotated.keys.map(({ kid }) => kid);
    const withoutOld = await revokeKey(folder, clock, old ?? "");
    expect([withoutOld.version, withoutOld.keys.map(({ kid }) => kid)]).toEqual([3, [current]]);
    const withoutCurrent = await revokeKey(folder, clock, current ?? "");
    expect(withoutCurrent.keys.map(({ kid }) => kid)).not.toContain(current);
    expect([withoutCurrent.version, withoutCurrent.keys.length]).toEqual([4, 1]);
    await expect(revokeKey(folder, clock, "nobody")).rejects.toThrow(/no key nobody/);
    expect((await openKeyRing(folder, clock)).keySet).toEqual(withoutCurrent);
  });
});

describe("rotation and revocation rehearsed on a running fleet [fault 5]", () => {
  let fleet: TestFleet;
  beforeAll(async () => {
    fleet = await startTestFleet();
  });
  afterAll(() => fleet?.close());

  /** The car's next events, in the order requested. */
  async function accepted(car: TestCar, version: number): Promise<void> {
    while (car.agent().state().keySetVersion < version) await once(car.agent(), "keysAccepted");
  }

  /** Whether every car reported to have the set of this version. */
  function fleetHas(version: number) {
    return fleet.waitUntil(`all cars have key set ${version}`, async () => {
      const behind = await fleet.db
        .selectFrom("vehicle_links")
        .select("vin")
        .where("key_set_version", "<", version)
        .executeTakeFirst();
      return behind === undefined ? true : undefined;
    });
  }

  test("rotated twice and revoked: cars that are driven and one that slept through it converge; the revoked key is refused", async () => {
    const driven = [await fleet.addCar(), await fleet.addCar(), await fleet.addCar()];
    const sleeper = await fleet.addCar();
    await sleeper.park();
    const [first] = driven;
    if (first === undefined) throw new Error("no car");
    const { clock } = fleet;
    const stolen = fleet.keyRing.signingKey;

    await rotateKeys(fleet.keysFolder, clock);
    await Promise.all(driven.map((car) => accepted(car, 2)));
    await rotateKeys(fleet.keysFolder, clock);
    await Promise.all(driven.map((car) => accepted(car, 3)));
    const bought = await fleet.buy(first, "ambientLight");
    await fleet.waitFor(bought, "ServiceActive");

    await revokeKey(fleet.keysFolder, clock, stolen.kid);
    await Promise.all(driven.map((car) => accepted(car, 4)));
    await sleeper.drive();
    await accepted(sleeper, 4);
    await fleetHas(4);

    // A thief of the former key can still reach the broker's topic, in this test with our own password.
    const forged: Manifest = {
      vin: parseVin(first.vin),
      version: 1_000,
      hash: "x".repeat(43),
      proofKey: thumbprintOf(await proofKeyOf(first)),
      keySetVersion: 4,
      issuedAt: clock.now().toISOString(),
      entries: [],
    };
    const before = first.agent().state().active;
    const refused = once(first.agent(), "refused");
    await publish(topicOf(forged.vin, "manifest"), signManifest(forged, stolen));
    expect(await refused).toEqual(["manifest.unknownKey"]);
    expect(first.agent().state().active).toEqual(before);

    const again = await fleet.buy(first, "heatedSeats");
    await fleet.waitFor(again, "ServiceActive");
    const asleep = await fleet.buy(sleeper, "ambientLight");
    await fleet.waitFor(asleep, "ServiceActive");
  });

  async function proofKeyOf(car: TestCar): Promise<string> {
    const row = await fleet.db
      .selectFrom("vehicle_links")
      .select("proof_public_key")
      .where("vehicle_id", "=", car.vehicleId)
      .executeTakeFirstOrThrow();
    return row.proof_public_key ?? "";
  }

  async function publish(topic: string, token: string): Promise<void> {
    const link = createMqttLink({
      url: `mqtt://127.0.0.1:${fleet.broker.tcpPort}`,
      clientId: "control-plane-thief",
      username: "control-plane",
      password: "the control plane's password in a test",
      tls: null,
      subscriptions: [{ topic: "caas/v1/+/telemetry", qos: 0 }],
      onConnecting: async () => {},
      onMessage: () => {},
      random: Math.random,
      logger: pino({ level: "silent" }),
    });
    link.start();
    await link.connected();
    link.publish(topic, token, 1);
    await link.stop();
  }
});
