import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { errorMessage, type PartnerClient, partnerClient } from "../client.ts";
import { assignVin } from "../factory/assign-vin.ts";
import type { RunningPartner } from "../shared/partner.ts";
import { startVss } from "./server.ts";

const vin = assignVin(1);
const plan = { soldOn: "2026-01-31", planMonths: 12, planKm: 15_000 };
const folder = mkdtempSync(join(tmpdir(), "vss-"));
let storeNumber = 0;
let now = new Date("2026-11-02T09:00:00Z");
let vss: RunningPartner;
let call: PartnerClient;

beforeEach(async () => {
  storeNumber += 1;
  now = new Date("2026-11-02T09:00:00Z");
  await start();
});
afterEach(() => vss.close());
afterAll(() => rmSync(folder, { recursive: true }));

async function start() {
  const storePath = join(folder, `${storeNumber}.db`);
  vss = await startVss({ port: 0, storePath, apiKey: "vss-key", clock: { now: () => now } });
  call = partnerClient(vss.url, "vss-key");
}

const register = (body: unknown = plan) => call("PUT", `/v1/vehicles/${vin}`, { body });
const maintenance = async () => (await call("GET", `/v1/vehicles/${vin}/maintenance`)).body;
const service = (entry: object = {}, idempotencyKey?: string) =>
  call("POST", `/v1/vehicles/${vin}/services`, {
    body: {
      reference: "w-1",
      performedOn: "2026-11-02",
      odometerKm: 14_000,
      workshop: "Taller Norte",
      ...entry,
    },
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  });

test("a car the workshops do not know is 404, and known once its plan is registered", async () => {
  const unknown = await call("GET", `/v1/vehicles/${vin}/maintenance`);
  expect(unknown.status).toBe(404);
  expect(unknown.body).toMatchObject({ error: { code: "unknown_vehicle" } });
  expect((await service()).status).toBe(404);
  expect((await register()).status).toBe(200);
  expect(await maintenance()).toEqual({
    vin,
    status: "current",
    nextDueOn: "2027-01-31",
    nextDueKm: 15_000,
    lastServiceOn: null,
  });
});

test.each([
  ["2027-01-31T22:59:59Z", "current"],
  ["2027-01-31T23:00:00Z", "overdue"],
])("at %s a car due on 31 January is %s", async (instant, status) => {
  await register();
  now = new Date(instant);
  expect(await maintenance()).toMatchObject({ status });
});

test("a workshop's entry makes an overdue car current and sets the next due day", async () => {
  await register();
  now = new Date("2027-03-15T10:00:00Z");
  expect(await maintenance()).toMatchObject({ status: "overdue" });
  const recorded = await service({ performedOn: "2027-03-15" });
  expect(recorded.status).toBe(201);
  expect(recorded.body).toMatchObject({ reference: "w-1", vin, workshop: "Taller Norte" });
  expect(await maintenance()).toEqual({
    vin,
    status: "current",
    nextDueOn: "2028-03-15",
    nextDueKm: 29_000,
    lastServiceOn: "2027-03-15",
  });
});

test("the same entry twice is one visit, by reference and by idempotency key", async () => {
  await register();
  const first = await service({}, "key-1");
  const byKey = await service({}, "key-1");
  expect([byKey.status, byKey.body]).toEqual([201, first.body]);
  const byReference = await service({});
  expect([byReference.status, byReference.body]).toEqual([200, first.body]);
  expect((await service({ odometerKm: 1 }, "key-1")).status).toBe(422);
  expect((await call("GET", "/_control/store")).body).toMatchObject({ services: [first.body] });
});

test("an entry made late, for a visit before the last one, does not bring the next one forward", async () => {
  await register();
  await service();
  await service({ reference: "w-0", performedOn: "2026-05-01", odometerKm: 7_000 });
  expect(await maintenance()).toMatchObject({ lastServiceOn: "2026-11-02", nextDueKm: 29_000 });
});

test("registering the same plan again changes nothing; another plan counts from the last service", async () => {
  await register();
  await service();
  await register();
  expect(await maintenance()).toMatchObject({ nextDueOn: "2027-11-02" });
  await register({ ...plan, planMonths: 6 });
  expect(await maintenance()).toMatchObject({ nextDueOn: "2027-05-02", lastServiceOn: "2026-11-02" });
});

test("the control entrance makes a car overdue and current at will, with a due day that says the same", async () => {
  const turn = (status: string) => call("PUT", `/_control/vehicles/${vin}`, { body: { status } });
  expect((await turn("overdue")).status).toBe(404);
  await register();
  expect((await turn("overdue")).body).toMatchObject({ status: "overdue", nextDueOn: "2026-11-01" });
  expect(await maintenance()).toMatchObject({ status: "overdue" });
  expect((await turn("current")).body).toMatchObject({ status: "current", nextDueOn: "2027-11-02" });
  expect((await turn("fine")).status).toBe(400);
});

test.each([
  ["a plan without months", { soldOn: "2026-01-31", planKm: 1 }, "planMonths"],
  ["a day that does not exist", { ...plan, soldOn: "2026-02-30" }, "soldOn"],
  ["a field it does not know", { ...plan, price: 1 }, "price"],
])("%s is refused, naming the field", async (_what, body, field) => {
  const answer = await register(body);
  expect(answer.status).toBe(400);
  expect(errorMessage(answer)).toContain(`${field}: `);
});

test("a VIN with a letter that none has is refused before any look-up", async () => {
  const answer = await call("GET", "/v1/vehicles/VSCCAAS1OTA000001/maintenance");
  expect(answer.status).toBe(400);
  expect(errorMessage(answer)).toContain("vin: ");
});

test("it can be down, silent or answer nonsense, and is itself again afterwards", async () => {
  await register();
  await call("PUT", "/_control/faults", {
    body: {
      failNext: { count: 1, status: 500 },
      timeOutBeforeDoingNext: { count: 1 },
      answerNonsenseNext: { count: 1 },
    },
  });
  const path = `/v1/vehicles/${vin}/maintenance`;
  expect((await call("GET", path)).status).toBe(500);
  await expect(call("GET", path, { signal: AbortSignal.timeout(150) })).rejects.toThrow();
  const response = await fetch(`${vss.url}${path}`, { headers: { authorization: "Bearer vss-key" } });
  expect(response.status).toBe(200);
  expect(await response.text()).toMatch(/^<html>/);
  expect(await maintenance()).toMatchObject({ status: "current" });
});

test("a wrong key is refused", async () => {
  expect((await partnerClient(vss.url, "other")("GET", `/v1/vehicles/${vin}/maintenance`)).status).toBe(401);
});

test("after a restart every car is as before", async () => {
  await register();
  await service();
  const before = await maintenance();
  await vss.close();
  await start();
  expect(await maintenance()).toEqual(before);
});

test("a European VIN without a North American check digit is known, in small letters too [F1]", async () => {
  expect((await call("PUT", "/v1/vehicles/VSSZZZ5FZJR000001", { body: plan })).status).toBe(200);
  const asked = await call("GET", "/v1/vehicles/vssZZZ5FZJR000001/maintenance");
  expect(asked.body).toMatchObject({ vin: "VSSZZZ5FZJR000001", status: "current" });
});
