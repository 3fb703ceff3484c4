import { partnerClient } from "@caas/simulator/stand-ins/client.ts";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import { newId } from "../../store/ids.ts";
import type { Person } from "../../testing/fixtures/people.ts";
import {
  registered,
  startTestSales,
  type TestSales,
  type WrittenSale,
} from "../../testing/fixtures/sales.ts";
import { partnerApiKey } from "../../testing/test-platform.ts";
import { seedCatalog } from "./seed-catalog.ts";

let platform: TestSales;
let workshops: ReturnType<typeof partnerClient>;
let car: WrittenSale;
let customer: Person;

beforeAll(async () => {
  platform = await startTestSales({ name: "catalog", standIns: ["gateway", "vss"] });
  workshops = partnerClient(platform.standIn("vss").url, partnerApiKey);
});
beforeEach(async () => {
  car = await platform.writeSale({
    ...registered,
    state: "Operational",
    app_linked_at: platform.clock.now(),
  });
  customer = await platform.customerOf(car);
  await workshops("PUT", `/v1/vehicles/${car.vin}`, {
    body: { soldOn: new Date().toISOString().slice(0, 10), planMonths: 12, planKm: 15_000 },
  });
});
afterAll(() => platform?.close());

const catalogSchema = z.object({
  maintenance: z.object({ status: z.string(), checkedAt: z.string().nullable() }),
  services: z.array(
    z.looseObject({
      id: z.string(),
      code: z.string(),
      standing: z.string(),
      advice: z.object({ eligible: z.boolean(), reason: z.string() }),
    }),
  ),
});

async function browse() {
  return catalogSchema.parse((await customer.get(`/api/vehicles/${car.vehicleId}/catalog`)).body);
}

const setStatus = (status: "current" | "overdue") =>
  workshops("PUT", `/_control/vehicles/${car.vin}`, { body: { status } });

const eligible = (catalog: z.infer<typeof catalogSchema>) =>
  catalog.services
    .filter((service) => service.advice.eligible)
    .map((service) => service.code)
    .sort();

/** The customer's purchase, as it is when the workshops and the bank have answered. */
async function buyHeatedSeats() {
  const seats = (await browse()).services.find(({ code }) => code === "heatedSeats");
  const bought = await customer.post(`/api/vehicles/${car.vehicleId}/activations`, {
    serviceId: seats?.id ?? "",
    paymentMethod: "pm_card_visa",
  });
  await platform.runJobs();
  const { body } = await customer.get(`/api/activations/${bought.text("id")}`);
  return z.looseObject({ state: z.string() }).parse(body);
}

describe("the catalogue", () => {
  test("every signed-in person reads the services with price and term [DO13, SY3]", async () => {
    const { body } = await customer.get("/api/catalog/services");
    expect(body).toMatchObject({
      services: expect.arrayContaining([
        expect.objectContaining({
          code: "heatedSeats",
          priceCents: 1_499,
          currency: "EUR",
          durationDays: 30,
          dependsOnMaintenance: true,
        }),
        expect.objectContaining({ code: "ambientLight", dependsOnMaintenance: false }),
      ]),
    });
  });

  test("seeding again changes nothing", async () => {
    const read = () => platform.db.selectFrom("catalog_services").selectAll().orderBy("id").execute();
    const before = await read();
    await platform.db
      .updateTable("catalog_plans")
      .set({ price_cents: 3_000_000 })
      .where("code", "=", "ciudad")
      .execute();
    await seedCatalog(platform.db);
    expect(await read()).toEqual(before);
    const plan = await platform.db
      .selectFrom("catalog_plans")
      .where("code", "=", "ciudad")
      .select("price_cents")
      .executeTakeFirstOrThrow();
    expect(plan.price_cents).toBe(3_000_000);
  });

  test("a service no longer offered is not shown", async () => {
    const offer = (offered: boolean) =>
      platform.db
        .updateTable("catalog_services")
        .set({ offered })
        .where("code", "=", "liveTraffic")
        .execute();
    await offer(false);
    expect((await browse()).services.map((service) => service.code)).not.toContain("liveTraffic");
    await offer(true);
    expect((await browse()).services.map((service) => service.code)).toContain("liveTraffic");
  });
});

describe("browsing for one car", () => {
  test("overdue maintenance speaks only against the services that depend on it [AU12, DO18, DE7]", async () => {
    await setStatus("overdue");
    const catalog = await browse();
    expect(catalog.maintenance.status).toBe("overdue");
    expect(eligible(catalog)).toEqual(["ambientLight", "liveTraffic"]);
    const seats = catalog.services.find((service) => service.code === "heatedSeats");
    expect(seats?.advice.reason).toMatch(/overdue/);
  });

  test("the advice is asked for once in five minutes of business time", async () => {
    expect(eligible(await browse())).toHaveLength(6);
    await setStatus("overdue");
    platform.clock.advanceMs(5 * 60_000);
    expect((await browse()).maintenance.status).toBe("current");
    platform.clock.advanceMs(1);
    expect((await browse()).maintenance.status).toBe("overdue");
  });

  test("silent workshops are asked again at the next look", async () => {
    await workshops("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 503 } } });
    const silent = await browse();
    expect(silent.maintenance.status).toBe("unavailable");
    expect(eligible(silent)).toEqual(["ambientLight", "liveTraffic"]);
    expect((await browse()).maintenance.status).toBe("current");
  });

  test("after a denial for overdue maintenance the catalogue says the same, until the workshops say otherwise [N8]", async () => {
    expect(eligible(await browse())).toHaveLength(6);
    await setStatus("overdue");
    const seats = (await browse()).services.find(({ code }) => code === "heatedSeats");
    await platform.db
      .updateTable("vehicles")
      .set({ owner_customer_id: car.customerId })
      .where("id", "=", car.vehicleId)
      .execute();
    const bought = await customer.post(`/api/vehicles/${car.vehicleId}/activations`, {
      serviceId: seats?.id ?? "",
      paymentMethod: "pm_card_visa",
    });
    expect(bought.status).toBe(202);
    // The catalogue's own answer is older than the binding check's.
    platform.clock.advanceMs(1_000);
    await platform.runJobs();
    expect(eligible(await browse())).toEqual(["ambientLight", "liveTraffic"]);
    await setStatus("current");
    expect((await browse()).maintenance.status).toBe("overdue");
    platform.clock.advanceMs(5 * 60_000 + 1);
    expect(eligible(await browse())).toHaveLength(6);
  });

  test("a technician's record in the workshops' own system makes the car current and opens what was denied [LF14, LF15, DO21, AU18]", async () => {
    await platform.db
      .updateTable("vehicles")
      .set({ owner_customer_id: car.customerId })
      .where("id", "=", car.vehicleId)
      .execute();
    await setStatus("overdue");
    const denied = await buyHeatedSeats();
    expect(denied.state).toBe("ServiceDenied");

    const today = platform.clock.now().toISOString().slice(0, 10);
    const recorded = await workshops("POST", `/v1/vehicles/${car.vin}/services`, {
      body: { reference: "w-1", performedOn: today, odometerKm: 14_000, workshop: "Taller Norte" },
    });
    expect(recorded.status).toBe(201);
    expect(await customer.get(`/api/vehicles/${car.vehicleId}/maintenance`)).toMatchObject({
      body: { maintenance: { status: "current", lastServiceOn: today } },
    });
    platform.clock.advanceMs(5 * 60_000 + 1);
    expect(eligible(await browse())).toContain("heatedSeats");
    expect((await buyHeatedSeats()).state).toBe("OTAQueue");
  });

  test("before the app is linked nothing is eligible, and the reason is the rule of linking [N8]", async () => {
    await platform.db
      .updateTable("vehicles")
      .set({ app_linked_at: null })
      .where("id", "=", car.vehicleId)
      .execute();
    const { services } = await browse();
    expect(services.filter(({ advice }) => advice.eligible)).toEqual([]);
    expect(new Set(services.map(({ advice }) => advice.reason))).toEqual(
      new Set([expect.stringMatching(/linked/i)]),
    );
  });

  test("before the app is linked nothing can be bought either, and the refusal names the rule [DE12]", async () => {
    await platform.db
      .updateTable("vehicles")
      .set({ state: "Delivered", app_linked_at: null, owner_customer_id: car.customerId })
      .where("id", "=", car.vehicleId)
      .execute();
    const seats = (await browse()).services.find(({ code }) => code === "heatedSeats");
    const refused = await customer.post(`/api/vehicles/${car.vehicleId}/activations`, {
      serviceId: seats?.id ?? "",
      paymentMethod: "pm_card_visa",
    });
    expect(refused).toMatchObject({ status: 409, body: { rule: "DE12" } });
  });

  test("a car without a VIN is browsed without asking anybody", async () => {
    await platform.db.updateTable("vehicles").set({ vin: null }).where("id", "=", car.vehicleId).execute();
    expect((await browse()).maintenance).toEqual({ status: "unknown", checkedAt: null });
  });

  test("what is bought stands as pending, then as active, and is offered again when its term is over", async () => {
    const service = (await browse()).services.find((one) => one.code === "heatedSeats");
    const standing = async () =>
      (await browse()).services.find((one) => one.code === "heatedSeats")?.standing;
    expect(await standing()).toBe("available");
    const at = platform.clock.now();
    const [activationId, entitlementId] = [newId(), newId()];
    await platform.db
      .insertInto("entitlements")
      .values({
        id: entitlementId,
        vehicle_id: car.vehicleId,
        source: "service",
        code: "heatedSeats",
        configuration: "{}",
        state: "wanted",
        created_at: at,
      })
      .execute();
    await platform.db
      .insertInto("activations")
      .values({
        id: activationId,
        vehicle_id: car.vehicleId,
        customer_id: car.customerId,
        service_id: service?.id ?? "",
        entitlement_id: entitlementId,
        state: "OTAQueue",
        price_cents: 1_499,
        currency: "EUR",
        duration_days: 30,
        payment_method: "pm_card_visa",
        attempts_allowed: 5,
        created_at: at,
      })
      .execute();
    expect(await standing()).toBe("pending");
    const end = (state: "proved" | "ended") =>
      platform.db.updateTable("entitlements").set({ state }).where("id", "=", entitlementId).execute();
    await end("proved");
    await platform.db
      .updateTable("activations")
      .set({ state: "ServiceActive", ended_at: at })
      .where("id", "=", activationId)
      .execute();
    expect(await standing()).toBe("active");
    await end("ended");
    expect(await standing()).toBe("available");
  });

  test("another customer finds no such car; sales have no business there", async () => {
    const url = `/api/vehicles/${car.vehicleId}/catalog`;
    const other = await platform.customerOf(await platform.writeSale(registered));
    expect((await other.get(url)).status).toBe(404);
    expect((await platform.staff.sales.get(url)).status).toBe(403);
    expect((await platform.staff.support.get(url)).status).toBe(200);
  });
});
