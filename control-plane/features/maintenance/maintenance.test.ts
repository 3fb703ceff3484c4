import { createServer, type Server } from "node:http";
import { partnerClient } from "@caas/simulator/stand-ins/client.ts";
import { portOf } from "@caas/simulator/stand-ins/shared/partner.ts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createVss } from "../../partners/vss.ts";
import { newId } from "../../store/ids.ts";
import {
  registered,
  startTestSales,
  type TestSales,
  type WrittenSale,
} from "../../testing/fixtures/sales.ts";
import { partnerApiKey } from "../../testing/test-platform.ts";

let platform: TestSales;
let workshops: ReturnType<typeof partnerClient>;
let control: ReturnType<typeof partnerClient>;

beforeAll(async () => {
  platform = await startTestSales({ name: "maintenance", standIns: ["vss"] });
  workshops = partnerClient(platform.standIn("vss").url, partnerApiKey);
  control = partnerClient(platform.standIn("vss").url);
});
afterEach(() => control("DELETE", "/_control/faults"));
afterAll(() => platform?.close());

async function knownCar(): Promise<WrittenSale> {
  const car = await platform.writeSale(registered);
  await workshops("PUT", `/v1/vehicles/${car.vin}`, {
    body: { soldOn: new Date().toISOString().slice(0, 10), planMonths: 12, planKm: 15_000 },
  });
  return car;
}

const setStatus = (car: WrittenSale, status: "current" | "overdue") =>
  control("PUT", `/_control/vehicles/${car.vin}`, { body: { status } });

/** Asks as an activation would; what it is told. */
async function check(car: WrittenSale): Promise<string> {
  const activationId = newId();
  await platform.inTransaction((tx) =>
    platform.maintenance.onMaintenanceCheckRequested(tx, [{ activationId, vin: car.vin }]),
  );
  expect(await platform.runJobs()).toBe(0);
  const told = platform.published.filter(
    (one) => one.name === "maintenanceChecked" && one.event.activationId === activationId,
  );
  expect(told).toHaveLength(1);
  const [answer] = told;
  return answer?.name === "maintenanceChecked" ? answer.event.status : "nothing";
}

describe("the binding check of an activation", () => {
  test.each(["current", "overdue"] as const)("the workshops' %s is passed on as it is", async (status) => {
    const car = await knownCar();
    await setStatus(car, status);
    expect(await check(car)).toBe(status);
  });

  test("a car the workshops do not know is unknown", async () => {
    expect(await check(await platform.writeSale(registered))).toBe("unknown");
  });

  test("a car without a VIN is unknown", async () => {
    expect(await check(await platform.writeSale({ state: "Ordered", vin: null }))).toBe("unknown");
  });

  test.each([
    ["are down", { failNext: { count: 1, status: 503 } }],
    ["refuse us", { failNext: { count: 1, status: 403 } }],
    ["are silent", { timeOutBeforeDoingNext: { count: 1 } }],
    ["are slow", { latencyMs: 5_000 }],
  ])(
    "workshops that %s make it unavailable at once, without a retry [FA11, fault 29]",
    async (_what, faults) => {
      const car = await knownCar();
      await control("PUT", "/_control/faults", { body: faults });
      platform.maintenanceChecks.length = 0;
      expect(await check(car)).toBe("unavailable");
      expect(platform.maintenanceChecks).toEqual([{ ms: expect.any(Number), status: "unavailable" }]);
      expect(platform.maintenanceChecks[0]?.ms).toBeLessThan(2_000);
      await control("DELETE", "/_control/faults");
      expect(await platform.retryJobs()).toBe(0);
      expect(platform.maintenanceChecks).toHaveLength(1);
      expect(await check(car)).toBe("current");
    },
  );
});

describe("workshops that talk nonsense [fault 29]", () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  const vin = "WCAZZZ1B0TA000001";
  const good = { vin, status: "current", nextDueOn: "2027-01-01", nextDueKm: 15_000, lastServiceOn: null };

  async function askOne(answer: string, contentType = "application/json") {
    server = createServer((_request, response) => {
      response.writeHead(200, { "content-type": contentType }).end(answer);
    });
    await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", () => resolve()));
    const vss = createVss({ baseUrl: `http://127.0.0.1:${portOf(server)}`, apiKey: "key" });
    return vss.askMaintenance(vin);
  }

  test.each([
    ["no JSON", "<html>maintenance current</html>"],
    ["nothing", ""],
    ["a status of their own", JSON.stringify({ ...good, status: "fine" })],
    ["a missing date", JSON.stringify({ ...good, nextDueOn: undefined })],
    ["another car", JSON.stringify({ ...good, vin: "WCAZZZ1B2TA000002" })],
    ["a flood", JSON.stringify({ ...good, note: "x".repeat(1_000_000) })],
  ])("%s is no clear answer, so it is unavailable [FA11]", async (_what, answer) => {
    expect(await askOne(answer)).toMatchObject({ status: "unavailable" });
  });

  test("a clear answer is believed", async () => {
    expect(await askOne(JSON.stringify(good))).toEqual({
      status: "current",
      nextDueOn: "2027-01-01",
      nextDueKm: 15_000,
      lastServiceOn: null,
    });
  });

  test("workshops that never answer are given up before two seconds are over, where nothing else is set", async () => {
    server = createServer(() => undefined);
    await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", () => resolve()));
    const vss = createVss({ baseUrl: `http://127.0.0.1:${portOf(server)}`, apiKey: "key" });
    const startedMs = performance.now();
    expect(await vss.askMaintenance(vin)).toMatchObject({ status: "unavailable" });
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeLessThan(2_000);
    expect(tookMs).toBeGreaterThan(1_500);
    server.closeAllConnections();
  });

  test("an address where nobody listens is unavailable too", async () => {
    const vss = createVss({ baseUrl: "http://127.0.0.1:1", apiKey: "key" });
    expect(await vss.askMaintenance(vin)).toMatchObject({ status: "unavailable" });
  });
});

describe("reading the status", () => {
  const url = (car: WrittenSale) => `/api/vehicles/${car.vehicleId}/maintenance`;

  test("owner and staff read it live [DA13, DO17, SY8, SY21]", async () => {
    const car = await knownCar();
    const customer = await platform.customerOf(car);
    expect((await customer.get(url(car))).body).toMatchObject({ maintenance: { status: "current" } });
    await setStatus(car, "overdue");
    expect((await platform.staff.support.get(url(car))).body).toMatchObject({
      maintenance: { status: "overdue", nextDueKm: 15_000 },
    });
  });

  test("silence is answered as unavailable, not as an error [FA11]", async () => {
    const car = await knownCar();
    await control("PUT", "/_control/faults", { body: { timeOutBeforeDoingNext: { count: 1 } } });
    const answer = await platform.staff.support.get(url(car));
    expect(answer).toMatchObject({ status: 200, body: { maintenance: { status: "unavailable" } } });
  });

  test("another customer finds no such car", async () => {
    const other = await platform.customerOf(await platform.writeSale(registered));
    expect((await other.get(url(await knownCar()))).status).toBe(404);
  });
});
