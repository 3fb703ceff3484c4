import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { newSale, type Staff, seedStaff, signIn } from "../../testing/fixtures/people.ts";
import { startTestPlatform, type TestPlatform } from "../../testing/test-platform.ts";
import { seedCatalog } from "../catalog/seed-catalog.ts";

let platform: TestPlatform;
let staff: Staff;

beforeAll(async () => {
  platform = await startTestPlatform({ name: "sales" });
  await seedCatalog(platform.db);
  staff = await seedStaff(platform);
});
afterAll(() => platform.close());

async function countSales(): Promise<number> {
  const rows = await platform.db.selectFrom("expedientes").select("id").execute();
  return rows.length;
}

describe("an employee registers a sale [AU1, DO1, SY1]", () => {
  test("customer and plan comercial reach the expediente with the catalogue's prices [DO2, DA1, DA2, DA21]", async () => {
    const sale = newSale({ email: "DA21@Customer.Example" });
    const sold = await staff.sales.post("/api/sales", sale);
    expect(sold).toMatchObject({
      status: 201,
      body: {
        expediente: {
          reference: expect.stringMatching(/^EXP-2026-[0-9A-HJKMNP-TV-Z]{6}$/),
          status: "open",
          soldAt: "2026-03-02T09:00:00.000Z",
          soldBy: { dealershipId: staff.dealershipId },
          customer: { ...sale.customer, email: "da21@customer.example" },
          planComercial: {
            base: { code: "ciudad", name: "Ciudad", priceCents: 2_990_000 },
            options: [
              { code: "winterPack", priceCents: 89_000 },
              { code: "premiumSound", priceCents: 120_000 },
            ],
          },
          priceCents: 3_199_000,
          reservationCents: 50_000,
          finalPaymentCents: 3_149_000,
          currency: "EUR",
          vehicle: { vin: null, state: "start" },
          order: null,
          payments: [],
          registrationDocument: null,
          transport: null,
          delivery: null,
          activations: [],
        },
        notes: [],
      },
    });
  });

  test("the plans and options to choose from are listed with prices", async () => {
    expect(await staff.sales.get("/api/plans")).toMatchObject({
      status: 200,
      body: {
        currency: "EUR",
        plans: [{ code: "ciudad", priceCents: 2_990_000, reservationCents: 50_000 }, {}, {}],
      },
    });
  });

  test("a customer known by e-mail is reused; what is stored is kept, and the employee is told", async () => {
    const first = newSale({ email: "twice@customer.example" });
    const before = await staff.sales.post("/api/sales", first);
    const second = await staff.sales.post(
      "/api/sales",
      newSale({ ...first.customer, phone: "+34611000000" }),
    );
    expect(second.text("expediente.customer.customerId")).toBe(before.text("expediente.customer.customerId"));
    expect(second.body).toMatchObject({
      expediente: { customer: { phone: first.customer.phone } },
      notes: [expect.stringContaining("known"), expect.stringContaining("phone")],
    });
  });

  test("an employee's e-mail address cannot become a customer's", async () => {
    const me = await platform.db
      .selectFrom("auth_users")
      .where("id", "=", staff.sales.userId)
      .select("email")
      .executeTakeFirstOrThrow();
    expect(await staff.sales.post("/api/sales", newSale({ email: me.email }))).toMatchObject({
      status: 409,
      body: { errors: [{ field: "body.customer.email" }] },
    });
  });
});

describe("a sale with bad input is refused with an error that names the field, and nothing is stored [fault 31]", () => {
  const sale = newSale();
  const { customer, planComercial } = sale;
  const cases: [string, object, number, string][] = [
    ["a price", { ...sale, priceCents: 1 }, 400, "priceCents"],
    [
      "a price in the plan",
      { ...sale, planComercial: { ...planComercial, priceCents: 1 } },
      400,
      "priceCents",
    ],
    ["a state", { ...sale, state: "Delivered" }, 400, "state"],
    ["a role", { ...sale, customer: { ...customer, role: "admin" } }, 400, "role"],
    ["no customer", { planComercial }, 400, "body.customer"],
    [
      "a telephone number without country",
      { ...sale, customer: { ...customer, phone: "600111222" } },
      400,
      "body.customer.phone",
    ],
    [
      "a broken e-mail address",
      { ...sale, customer: { ...customer, email: "lucia" } },
      400,
      "body.customer.email",
    ],
    [
      "a country in words",
      { ...sale, customer: { ...customer, address: { ...customer.address, country: "España" } } },
      400,
      "body.customer.address.country",
    ],
    [
      "an unknown plan",
      { ...sale, planComercial: { ...planComercial, base: "yate" } },
      422,
      "body.planComercial.base",
    ],
    [
      "an unknown option",
      { ...sale, planComercial: { base: "ciudad", options: ["winterPack", "wings"] } },
      422,
      "body.planComercial.options.1",
    ],
    [
      "an option twice",
      { ...sale, planComercial: { base: "ciudad", options: ["towHitch", "towHitch"] } },
      422,
      "body.planComercial.options.1",
    ],
  ];
  test.each(cases)("with %s", async (_what, body, status, field) => {
    const before = await countSales();
    const refused = await staff.sales.post("/api/sales", body);
    expect(refused.status).toBe(status);
    expect(JSON.stringify(refused.body)).toContain(field);
    expect(await countSales()).toBe(before);
  });

  test("with a body that is no JSON, or without an Idempotency-Key", async () => {
    const reply = await platform.server.inject({
      method: "POST",
      url: "/api/sales",
      headers: { "content-type": "application/json" },
      payload: "{",
    });
    expect(reply.statusCode).toBe(400);
    expect(await staff.sales.post("/api/sales", newSale(), "")).toMatchObject({
      status: 400,
      body: { code: "idempotencyKeyMissing" },
    });
  });

  test("by anybody who is not sales staff [fault 30]", async () => {
    const before = await countSales();
    expect((await staff.support.post("/api/sales", newSale())).status).toBe(403);
    expect((await staff.admin.post("/api/sales", newSale())).status).toBe(403);
    const nobody = await platform.server.inject({ method: "POST", url: "/api/sales", payload: newSale() });
    expect(nobody.statusCode).toBe(401);
    expect(await countSales()).toBe(before);
  });
});

describe("repeated calls", () => {
  test("50 parallel sales with one Idempotency-Key are one sale with 50 identical answers [fault 22]", async () => {
    const before = await countSales();
    const sale = newSale();
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => staff.sales.post("/api/sales", sale, key)),
    );
    const [first] = answers;
    expect(first?.status).toBe(201);
    for (const answer of answers) expect([answer.status, answer.body]).toEqual([201, first?.body]);
    expect(await countSales()).toBe(before + 1);
    await platform.runJobs();
    expect(platform.fakes.mail.to(sale.customer.email)).toHaveLength(1);
  });

  test("the same key with another body is refused with 422 and has no effect [fault 23]", async () => {
    const key = randomUUID();
    expect((await staff.sales.post("/api/sales", newSale(), key)).status).toBe(201);
    const before = await countSales();
    expect(await staff.sales.post("/api/sales", newSale(), key)).toMatchObject({
      status: 422,
      body: { code: "idempotencyKeyReused" },
    });
    expect(await countSales()).toBe(before);
  });
});

describe("reading expedientes [SY2, DA17]", () => {
  test("a customer reads their own, a dealership its own, nobody anybody else's [fault 30]", async () => {
    const sale = newSale();
    const expedienteId = (await staff.sales.post("/api/sales", sale)).text("expediente.expedienteId");
    const foreign = newSale();
    const foreignId = (await staff.otherSales.post("/api/sales", foreign)).text("expediente.expedienteId");
    await platform.runJobs();
    const customer = await signIn(
      platform,
      sale.customer.email,
      platform.fakes.mail.passwordOf(sale.customer.email),
    );
    for (const path of ["", "/steps", "/notifications"]) {
      expect((await customer.get(`/api/expedientes/${expedienteId}${path}`)).status).toBe(200);
      expect((await customer.get(`/api/expedientes/${foreignId}${path}`)).status).toBe(404);
      expect((await staff.sales.get(`/api/expedientes/${foreignId}${path}`)).status).toBe(404);
      expect((await staff.support.get(`/api/expedientes/${foreignId}${path}`)).status).toBe(200);
    }
    expect((await customer.get("/api/expedientes/nonsense")).status).toBe(404);
    expect((await customer.get(`/api/expedientes/${randomUUID()}`)).status).toBe(404);
    expect(await customer.get("/api/expedientes")).toMatchObject({
      body: { expedientes: [{ expedienteId }] },
    });
    expect(JSON.stringify((await staff.sales.get("/api/expedientes?limit=100")).body)).not.toContain(
      foreignId,
    );
  });

  test("the list is searched and paged, newest first", async () => {
    const marker = randomUUID().slice(0, 8);
    const ids: string[] = [];
    for (const who of ["a", "b", "c"])
      ids.unshift(
        (await staff.sales.post("/api/sales", newSale({ name: `${who} 100%_${marker}` }))).text(
          "expediente.expedienteId",
        ),
      );
    const search = encodeURIComponent(`100%_${marker}`);
    const first = await staff.sales.get(`/api/expedientes?search=${search}&limit=2&status=open`);
    expect(first.body).toMatchObject({
      expedientes: [{ expedienteId: ids[0] }, { expedienteId: ids[1] }],
      next: ids[1],
    });
    const rest = await staff.sales.get(`/api/expedientes?search=${search}&limit=2&after=${ids[1]}`);
    expect(rest.body).toMatchObject({ expedientes: [{ expedienteId: ids[2] }], next: null });
    expect((await staff.sales.get(`/api/expedientes?search=${search}&vehicleState=Delivered`)).body).toEqual({
      expedientes: [],
      next: null,
    });
    expect((await staff.sales.get("/api/expedientes?limit=101")).status).toBe(400);
    expect((await staff.sales.get("/api/expedientes?owner=me")).status).toBe(400);
  });

  test("who waits for the next step is woken when it is committed, and told nothing happened after the wait", async () => {
    const sold = await staff.sales.post("/api/sales", newSale());
    const expedienteId = sold.text("expediente.expedienteId");
    const known = await staff.sales.get(`/api/expedientes/${expedienteId}/steps`);
    expect(known.body).toMatchObject({ steps: [{ event: "saleRegistered" }] });
    const { id: last } = await platform.db
      .selectFrom("steps")
      .where("expediente_id", "=", expedienteId)
      .select("id")
      .executeTakeFirstOrThrow();
    const empty = await staff.sales.get(`/api/expedientes/${expedienteId}/steps?after=${last}&waitMs=50`);
    expect(empty.body).toEqual({ steps: [] });

    const waiting = staff.sales.get(`/api/expedientes/${expedienteId}/steps?after=${last}&waitMs=20000`);
    await platform.db.transaction().execute((tx) =>
      recordSteps(tx, [
        {
          expedienteId,
          event: "noted",
          automation: null,
          actor: { kind: "staff", id: staff.sales.userId },
          at: platform.clock.now(),
        },
      ]),
    );
    expect((await waiting).body).toMatchObject({ steps: [{ event: "noted", automation: null }] });
  });
});
