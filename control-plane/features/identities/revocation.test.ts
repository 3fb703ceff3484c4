import { once } from "node:events";
import { createBroker } from "@caas/broker/broker.ts";
import { carPassword } from "@caas/contract/car-password.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { connectAsync } from "mqtt";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createFleetLink } from "../../fleet-link/fleet-link.ts";
import { startTestFleet, type TestFleet } from "../../testing/fixtures/fleet.ts";
import { type Staff, seedStaff } from "../../testing/fixtures/people.ts";

let fleet: TestFleet;
let staff: Staff;
beforeAll(async () => {
  fleet = await startTestFleet();
  staff = await seedStaff(fleet);
});
afterAll(() => fleet?.close());

const urlOf = (vehicleId: string) => `/api/vehicles/${vehicleId}/revocation`;

async function brokerMetric(line: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${fleet.broker.metricsPort}/metrics`)).text();
  return Number(new RegExp(`^${line} (\\S+)$`, "m").exec(text)?.[1] ?? 0);
}

describe("a car that an administrator revokes [fault 13]", () => {
  test("is off the broker well within 60 s and stays off; another car goes on; who did it is written down", async () => {
    const [car, other] = [await fleet.addCar(), await fleet.addCar()];
    const disconnected = once(car.agent(), "disconnected");
    const askedAtMs = performance.now();
    const reason = "reported stolen";
    const answer = await staff.admin.post(urlOf(car.vehicleId), { reason });
    expect([answer.status, answer.body]).toMatchObject([
      200,
      { vehicleId: car.vehicleId, reason, serialNumber: null },
    ]);
    await disconnected;
    expect(performance.now() - askedAtMs).toBeLessThan(5_000);
    // Its agent tries to come back by itself, and is refused.
    await once(car.agent(), "disconnected");
    expect(car.agent().state().connected).toBe(false);
    expect(await brokerMetric('caas_broker_connections_cut_total\\{reason="revoked"\\}')).toBe(1);
    expect(other.agent().state().connected).toBe(true);
    await fleet.waitUntil("it is known to be offline", async () => {
      const row = await fleet.db
        .selectFrom("vehicle_links")
        .select("presence")
        .where("vehicle_id", "=", car.vehicleId)
        .executeTakeFirst();
      return row?.presence === "offline" ? true : undefined;
    });
    const steps = await fleet.db
      .selectFrom("steps")
      .select(["event", "actor_kind", "actor_id", "automatic"])
      .where("vehicle_id", "=", car.vehicleId)
      .where("event", "=", "identityRevoked")
      .execute();
    expect(steps).toEqual([
      { event: "identityRevoked", actor_kind: "staff", actor_id: staff.admin.userId, automatic: false },
    ]);
  });

  test("a broker that is started anew, and knows of nobody, cuts it as soon as the control plane connects", async () => {
    const car = await fleet.addCar({ online: false });
    await staff.admin.post(urlOf(car.vehicleId), { reason: "reported stolen" });
    const secrets = {
      carSecret: "the cars' secret, 16 or more",
      controlPlanePassword: "sixteen characters or more",
    };
    const logger = pino({ level: "silent" });
    const broker = createBroker({
      policy: "fleet",
      tcp: { host: "127.0.0.1", port: 0 },
      passwords: secrets,
      now: () => new Date(),
      log: logger,
      rootPublicKey: fleet.keyRing.rootPublicKey,
    });
    const url = `mqtt://127.0.0.1:${(await broker.start()).tcpPort}`;
    const thief = await connectAsync(url, {
      clientId: car.vin,
      username: car.vin,
      password: carPassword(secrets.carSecret, parseVin(car.vin)),
      reconnectPeriod: 0,
    });
    const cut = new Promise<void>((resolve) => thief.once("close", () => resolve()));
    const link = createFleetLink(fleet.context, {
      engine: fleet.desiredState,
      keyRing: fleet.keyRing,
      databaseUrl: fleet.config.DATABASE_URL,
      dispatchChannel: "unused",
      revocationChannel: "unused",
      broker: {
        url,
        clientId: "control-plane-2",
        username: "control-plane",
        password: secrets.controlPlanePassword,
        tls: null,
      },
    });
    await link.start();
    await cut;
    await link.stop();
    await broker.stop();
  });

  test("revoked twice it is revoked once, and its list shows when", async () => {
    const car = await fleet.addCar({ online: false });
    const first = await staff.admin.post(urlOf(car.vehicleId), { reason: "written off" });
    const second = await staff.admin.post(urlOf(car.vehicleId), { reason: "again" });
    expect(second.body).toEqual(first.body);
    const { body } = await staff.support.get(`/api/vehicles/${car.vehicleId}/certificates`);
    expect(body).toMatchObject({
      revokedAt: first.text("revokedAt"),
      certificates: [{ serialNumber: expect.stringMatching(/^[0-9a-f]+$/), revokedAt: null }],
    });
  });

  test("one certificate of a car is revoked by its serial number; a foreign one is refused", async () => {
    const [car, other] = [await fleet.addCar({ online: false }), await fleet.addCar({ online: false })];
    const list = async (vehicleId: string) =>
      (await staff.admin.get(`/api/vehicles/${vehicleId}/certificates`)).body;
    const serialOf = (body: unknown) => /"serialNumber":"([0-9a-f]+)"/.exec(JSON.stringify(body))?.[1] ?? "";
    const serialNumber = serialOf(await list(car.vehicleId));
    const answer = await staff.admin.post(urlOf(car.vehicleId), {
      reason: "key copied in a workshop",
      serialNumber: `00${serialNumber.toUpperCase()}`,
    });
    expect([answer.status, answer.body]).toMatchObject([200, { serialNumber }]);
    expect(await list(car.vehicleId)).toMatchObject({
      revokedAt: null,
      certificates: [{ serialNumber, revokedAt: answer.text("revokedAt") }],
    });
    const foreign = { reason: "mistaken", serialNumber: serialOf(await list(other.vehicleId)) };
    expect((await staff.admin.post(urlOf(car.vehicleId), foreign)).status).toBe(422);
  });
});
