import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { errorMessage, type PartnerClient, partnerClient } from "../client.ts";
import { assignVin } from "../factory/assign-vin.ts";
import type { RunningPartner } from "../shared/partner.ts";
import { issuePlate } from "./plate.ts";
import { startAuthority } from "./server.ts";

const owner = {
  name: "Ana Ruiz",
  address: { street: "Calle Mayor 1", city: "Zaragoza", postalCode: "50001", country: "ES" },
};
const folder = mkdtempSync(join(tmpdir(), "authority-"));
let storeNumber = 0;
let authority: RunningPartner;
let call: PartnerClient;

beforeEach(async () => {
  storeNumber += 1;
  await start();
});
afterEach(() => authority.close());
afterAll(() => rmSync(folder, { recursive: true }));

async function start() {
  authority = await startAuthority({
    port: 0,
    storePath: join(folder, `${storeNumber}.db`),
    apiKey: "authority-key",
    clock: { now: () => new Date("2026-11-02T23:30:00Z") },
  });
  call = partnerClient(authority.url, "authority-key");
}

const register = (reference: string, serial = 1, idempotencyKey?: string) =>
  call("POST", "/v1/registrations", {
    body: { reference, vin: assignVin(serial), owner },
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  });
const registrations = async () => {
  const { body } = await call("GET", "/_control/store");
  return typeof body === "object" && body !== null && "registrations" in body ? body.registrations : [];
};

describe("plates", () => {
  test.each([
    [1, "0000 BBB"],
    [10_000, "9999 BBB"],
    [10_001, "0000 BBC"],
    [200_001, "0000 BCB"],
    [80_000_000, "9999 ZZZ"],
  ])("the plate number %d is %s", (serial, plate) => {
    expect(issuePlate(serial)).toBe(plate);
  });

  test.each([0, 80_000_001])("there is no plate number %d", (serial) => {
    expect(() => issuePlate(serial)).toThrow();
  });
});

test("a car is registered with id, plate and day, and found by the platform's reference", async () => {
  const registered = await register("exp-1");
  expect(registered.status).toBe(201);
  expect(registered.body).toEqual({
    registrationId: "reg_000001",
    reference: "exp-1",
    vin: assignVin(1),
    plate: "0000 BBB",
    registeredOn: "2026-11-03",
  });
  expect((await call("GET", "/v1/registrations?reference=exp-1")).body).toEqual({
    registrations: [registered.body],
  });
  expect((await call("GET", "/v1/registrations?reference=exp-2")).body).toEqual({ registrations: [] });
});

test("the same reference or idempotency key again is the same registration", async () => {
  const first = await register("exp-1", 1, "key-1");
  const byKey = await register("exp-1", 1, "key-1");
  expect([byKey.status, byKey.body]).toEqual([201, first.body]);
  const byReference = await register("exp-1", 1, "key-2");
  expect([byReference.status, byReference.body]).toEqual([200, first.body]);
  expect((await register("exp-2", 2, "key-1")).status).toBe(422);
  expect(await registrations()).toHaveLength(1);
});

test("every car gets its own plate, and keeps it when its owner changes", async () => {
  const plates = [];
  for (const [reference, serial] of [
    ["exp-1", 1],
    ["exp-2", 2],
    ["exp-3", 1],
  ] as const)
    plates.push((await register(reference, serial)).body);
  expect(plates).toMatchObject([{ plate: "0000 BBB" }, { plate: "0001 BBB" }, { plate: "0000 BBB" }]);
});

test.each([
  ["a VIN that is none", { vin: "VSC" }, "vin"],
  ["an owner without address", { owner: { name: "Ana" } }, "owner.address"],
  [
    "an address with a field it does not know",
    { owner: { ...owner, address: { ...owner.address, floor: 1 } } },
    "owner.address.floor",
  ],
  ["a field it does not know", { plate: "1234 BBB" }, "plate"],
])("%s is refused, naming the field", async (_what, change, field) => {
  const answer = await call("POST", "/v1/registrations", {
    body: { reference: "exp-1", vin: assignVin(1), owner, ...change },
  });
  expect(answer.status).toBe(400);
  expect(errorMessage(answer)).toContain(`${field}: `);
  expect(await registrations()).toEqual([]);
});

test("it fails, or registers without ever answering; the reference then finds the one registration", async () => {
  await call("PUT", "/_control/faults", {
    body: { failNext: { count: 1, status: 503 }, timeOutAfterDoingNext: { count: 1 } },
  });
  expect((await register("exp-1")).status).toBe(503);
  expect(await registrations()).toEqual([]);
  const unanswered = call("POST", "/v1/registrations", {
    body: { reference: "exp-1", vin: assignVin(1), owner },
    signal: AbortSignal.timeout(300),
  });
  await expect(unanswered).rejects.toThrow();
  const { body } = await call("GET", "/v1/registrations?reference=exp-1");
  expect(body).toMatchObject({ registrations: [{ plate: "0000 BBB" }] });
  expect((await register("exp-1")).status).toBe(200);
  expect(await registrations()).toHaveLength(1);
});

test("a wrong key is refused", async () => {
  expect((await partnerClient(authority.url, "other")("GET", "/v1/registrations?reference=x")).status).toBe(
    401,
  );
});

test("after a restart registrations and the run of plates go on", async () => {
  const first = await register("exp-1");
  await authority.close();
  await start();
  expect((await call("GET", "/v1/registrations?reference=exp-1")).body).toEqual({
    registrations: [first.body],
  });
  expect((await register("exp-2", 2)).body).toMatchObject({
    plate: "0001 BBB",
    registrationId: "reg_000002",
  });
});

test.each(["WVGZZZ5NZEW000001", "VF1RFA00X58000001"])(
  "%s, a European VIN without a North American check digit, is registered [F1]",
  async (vin) => {
    const registered = await call("POST", "/v1/registrations", {
      body: { reference: `exp-${vin}`, vin, owner: { name: "Ana", address: owner.address } },
    });
    expect([registered.status, registered.body]).toEqual([201, expect.objectContaining({ vin })]);
  },
);
