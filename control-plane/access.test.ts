import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "@caas/contract/business-clock.ts";
import { emptyManifestHash } from "@caas/contract/manifest.ts";
import { parseVin } from "@caas/contract/vin.ts";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../test/servers/database.ts";
import { type App, createApp } from "./app.ts";
import { readConfig } from "./config.ts";
import { createDealership, createStaff, insertUser } from "./features/accounts/create-staff.ts";
import { buyerOf } from "./features/sales/buyer-schema.ts";
import { accessTable } from "./http/access-table.ts";
import { generatePassword, hashPassword } from "./http/passwords.ts";
import { problemSchema } from "./http/problem.ts";
import { type OpenDatabase, openDatabase } from "./store/database.ts";
import { newId } from "./store/ids.ts";
import { writeUnchargedPurchase } from "./testing/fixtures/written-purchases.ts";

// Every route × every role × every relation, against the wiring that runs. Partners
// and broker are absent: no request here may get far enough to need them.

const nowhere = "127.0.0.1:9";
const secret = "a secret of the access test, 32 characters";

let database: TestDatabase;
let opened: OpenDatabase;
let app: App;
let base: string;
let keysDir: string;
const tokens = new Map<Who, string>();
const ids: Record<string, string> = {};

/** `sales` and `customer` are related to the things in the paths; `otherSales` and `otherCustomer` are not. */
const people = ["nobody", "admin", "support", "sales", "otherSales", "customer", "otherCustomer"] as const;
type Who = (typeof people)[number];

beforeAll(async () => {
  database = await createTestDatabase("access");
  opened = openDatabase(database.url, 5, () => undefined);
  keysDir = await mkdtemp(join(tmpdir(), "caas-access-"));
  const read = readConfig({
    DATABASE_URL: database.url,
    HTTP_PORT: "0",
    SESSION_SECRET: secret,
    ENROLMENT_SECRET: secret,
    KEYS_DIR: keysDir,
    MQTT_URL: `mqtt://${nowhere}`,
    SMTP_URL: `smtp://${nowhere}`,
    SEED_DEMO_CATALOG: "true",
    LOG_LEVEL: "silent",
    ...Object.fromEntries(
      ["FACTORY", "GATEWAY", "VSS", "AUTHORITY", "TRANSPORT"].flatMap((name) => [
        [`${name}_URL`, `http://${nowhere}`],
        [`${name}_API_KEY`, "key-of-a-test"],
        [`${name}_WEBHOOK_SECRET`, "whsec_YWNjZXNzLXRlc3Qtc2VjcmV0LTMyLWNoYXJz"],
      ]),
    ),
  });
  if (read.kind === "invalid") throw new Error(read.message);
  app = await createApp(read.config, {
    clock: realClock,
    realClock,
    random: Math.random,
    logger: pino({ level: "silent" }),
    version: "0.0.0-test",
  });
  base = (await app.start()).http;
  await seed();
});

afterAll(async () => {
  await app?.stop();
  await opened?.close();
  await database?.drop();
  await rm(keysDir, { recursive: true, force: true });
});

async function seed(): Promise<void> {
  const { db } = opened;
  const password = generatePassword();
  const at = new Date();
  const [mine, other] = await db
    .transaction()
    .execute(async (tx) => [await createDealership(tx, "North"), await createDealership(tx, "South")]);
  if (mine === undefined || other === undefined) throw new Error("no dealerships");
  const emails = new Map<Who, string>();
  for (const [who, post] of [
    ["admin", { role: "admin", dealershipId: null }],
    ["support", { role: "support", dealershipId: null }],
    ["sales", { role: "sales", dealershipId: mine }],
    ["otherSales", { role: "sales", dealershipId: other }],
  ] as const) {
    const email = `${who.toLowerCase()}@caas.example`;
    emails.set(who, email);
    await db.transaction().execute((tx) => createStaff(tx, { name: who, email, password, ...post }));
  }
  const customers = { customer: newId(), otherCustomer: newId() };
  for (const [who, id] of [
    ["customer", customers.customer],
    ["otherCustomer", customers.otherCustomer],
  ] as const) {
    const email = `${who.toLowerCase()}@customers.example`;
    emails.set(who, email);
    await db
      .insertInto("customers")
      .values({
        id,
        name: who,
        email,
        phone: "+34600000000",
        address: JSON.stringify({ street: "Calle 1", city: "Madrid", postalCode: "28013", country: "ES" }),
        created_at: at,
      })
      .execute();
    const passwordHash = await hashPassword(password);
    await db.transaction().execute((tx) =>
      insertUser(tx, {
        name: who,
        email,
        passwordHash,
        role: "customer",
        dealershipId: null,
        customerId: id,
      }),
    );
  }
  await insertThings(mine, customers.customer, at);
  for (const [who, email] of emails) tokens.set(who, await signIn(email, password));
}

/** One thing of each kind that a path can name, of `customer` and of the dealership `mine`. */
async function insertThings(dealershipId: string, customerId: string, at: Date): Promise<void> {
  const { db } = opened;
  const names = ["expedienteId", "vehicleId", "paymentId", "orderId", "taskId"] as const;
  const made = Object.fromEntries(names.map((name) => [name, newId()])) as Record<
    (typeof names)[number],
    string
  >;
  const { expedienteId, vehicleId, paymentId, orderId, taskId } = made;
  const vin = parseVin("1M8GDM9AXKP042788");
  const seller = await db
    .selectFrom("auth_users")
    .select("id")
    .where("role", "=", "sales")
    .executeTakeFirstOrThrow();
  await db
    .insertInto("vehicles")
    .values({ id: vehicleId, vin, state: "Operational", owner_customer_id: customerId, created_at: at })
    .execute();
  await db
    .insertInto("vehicle_links")
    .values({
      vehicle_id: vehicleId,
      vin,
      manifest_hash: emptyManifestHash,
      active_hash: emptyManifestHash,
    })
    .execute();
  await db
    .insertInto("expedientes")
    .values({
      id: expedienteId,
      reference: "EXP-ACCESS",
      customer_id: customerId,
      dealership_id: dealershipId,
      vehicle_id: vehicleId,
      sold_by: seller.id,
      buyer: JSON.stringify(
        buyerOf({
          name: "customer",
          email: "customer@customers.example",
          phone: "+34600000000",
          address: { street: "Calle 1", city: "Madrid", postalCode: "28013", country: "ES" },
        }),
      ),
      plan_comercial: JSON.stringify({
        base: { code: "urban", name: "Urban", priceCents: 100 },
        options: [],
      }),
      price_cents: 100,
      reservation_cents: 10,
      currency: "EUR",
      created_at: at,
    })
    .execute();
  await db
    .insertInto("orders")
    .values({
      id: orderId,
      expediente_id: expedienteId,
      vehicle_id: vehicleId,
      reference: "ORD-ACCESS",
      status: "completed",
      configuration: JSON.stringify({ base: "urban", options: [] }),
      created_at: at,
    })
    .execute();
  await db
    .insertInto("payments")
    .values({
      id: paymentId,
      kind: "reservation",
      expediente_id: expedienteId,
      customer_id: customerId,
      amount_cents: 10,
      currency: "EUR",
      method: "cash",
      status: "recorded",
      created_at: at,
    })
    .execute();
  const { activationId } = await writeUnchargedPurchase(db, { vehicleId, customerId, at });
  await db
    .insertInto("tasks")
    .values({
      id: taskId,
      kind: "test",
      team: "dealership",
      title: "Test",
      dealership_id: dealershipId,
      created_at: at,
    })
    .execute();
  Object.assign(ids, made, { activationId });
}

async function signIn(username: string, password: string): Promise<string> {
  const response = await fetch(`${base}/api/sign-in`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username, password }),
  });
  const answer: unknown = await response.json();
  if (answer !== null && typeof answer === "object" && "token" in answer && typeof answer.token === "string")
    return answer.token;
  throw new Error(`${username} cannot sign in: ${JSON.stringify(answer)}`);
}

async function call(route: string, who: Who, named: Record<string, string> = ids) {
  const [method = "", pattern = ""] = route.split(" ");
  const path = pattern.replaceAll(/:(\w+)/g, (_all, name: string) => named[name] ?? randomUUID());
  const token = tokens.get(who);
  const response = await fetch(`${base}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(method === "POST" ? { "content-type": "application/json", "idempotency-key": randomUUID() } : {}),
    },
    // A field that no route knows: who is let in is then stopped by the body's schema, and changes nothing.
    ...(method === "POST" ? { body: JSON.stringify({ state: "Operational", price: 1, role: "admin" }) } : {}),
  });
  const body: unknown = (response.headers.get("content-type") ?? "").includes("json")
    ? await response.json()
    : null;
  return { status: response.status, body };
}

/**
 * Who may call what, written by hand and apart from the code: a change of the access table must be made here, too. For
 * admin, support, the dealership that sold it, another dealership, its customer, another customer: `+` is let in, `-` is
 * a role that may not (403), `?` is told that there is no such thing (404).
 */
const matrix: Readonly<Record<string, string>> = {
  "POST /api/sign-out": "++++++",
  "GET /api/me": "++++++",
  "POST /api/me/password": "++++++",
  "GET /api/plans": "++++++",
  "POST /api/sales": "--++--",
  "GET /api/expedientes": "++++++",
  "GET /api/expedientes/:expedienteId": "+++?+?",
  "GET /api/expedientes/:expedienteId/steps": "+++?+?",
  "GET /api/expedientes/:expedienteId/notifications": "+++?+?",
  "POST /api/expedientes/:expedienteId/contact": "+++?--",
  "POST /api/expedientes/:expedienteId/reservation-payment": "--+?+?",
  "POST /api/expedientes/:expedienteId/final-payment": "--+?+?",
  "POST /api/expedientes/:expedienteId/transport": "+-+?--",
  "POST /api/expedientes/:expedienteId/return": "+-+?--",
  "POST /api/expedientes/:expedienteId/pick-up": "+-+?--",
  "POST /api/expedientes/:expedienteId/registration/retry": "+-+?--",
  "GET /api/orders/:orderId": "+++?--",
  "POST /api/orders/:orderId/retry": "+-+?--",
  "GET /api/payments/:paymentId": "+++?+?",
  "GET /api/activations/:activationId/payment": "+++?+?",
  "POST /api/payments/:paymentId/second-look": "+-+?--",
  "POST /api/payments/:paymentId/refunds": "++----",
  "GET /api/payments/:paymentId/ledger": "+++?--",
  "GET /api/vehicles": "++++++",
  "GET /api/vehicles/:vehicleId": "+++?+?",
  "POST /api/vehicles/:vehicleId/link-codes": "----+?",
  "POST /api/vehicles/:vehicleId/link": "----+?",
  "GET /api/vehicles/:vehicleId/catalog": "-+--+?",
  "GET /api/vehicles/:vehicleId/maintenance": "+++?+?",
  "POST /api/vehicles/:vehicleId/revocation": "+-----",
  "POST /api/vehicles/:vehicleId/enrolment-packages": "+-----",
  "GET /api/vehicles/:vehicleId/certificates": "++----",
  "GET /api/vehicles/:vehicleId/manifest": "+++?+?",
  "POST /api/vehicles/:vehicleId/activations": "----+?",
  "GET /api/vehicles/:vehicleId/activations": "+++?+?",
  "GET /api/activations/:activationId": "+++?+?",
  "POST /api/activations/:activationId/cancellation": "----+?",
  "GET /api/activations/:activationId/explanation": "+++?+?",
  "GET /api/activations/:activationId/steps": "+++?+?",
  "GET /api/invariants": "++----",
  "GET /api/catalog/services": "++++++",
  "GET /api/tasks": "++++--",
  "POST /api/tasks/:taskId/resolution": "+++?--",
};

/** Called by anybody: each is proved by something else than a session, or holds nothing of anybody. */
const open = [
  "GET /",
  "GET /health",
  "GET /ready",
  "GET /metrics",
  "GET /openapi.json",
  "POST /api/sign-in",
  "POST /api/enrolments",
  "POST /api/certificate-renewals",
  "POST /webhooks/factory",
  "POST /webhooks/payments",
  "POST /webhooks/transport",
];

describe("the right to call a route [fault 30]", () => {
  test("is written down for every route, and for no other", () => {
    expect([...Object.keys(matrix), ...open].sort()).toEqual(Object.keys(accessTable).sort());
  });

  test.each(Object.entries(matrix))("%s: %s", async (route, rights) => {
    const nobody = await call(route, "nobody");
    expect(nobody.status).toBe(401);
    for (const [index, who] of people.slice(1).entries()) {
      const { status, body } = await call(route, who);
      // No more than that somebody is let in: a body that no route knows is stopped by its schema.
      const letIn = route.startsWith("POST") ? 400 : 200;
      const expected = { "+": letIn, "-": 403, "?": 404 }[rights.charAt(index)];
      expect([who, status, JSON.stringify(body)]).toEqual([who, expected, expect.anything()]);
    }
  });

  test.each(open)("%s asks for no session", async (route) => {
    const { status } = await call(route, "nobody");
    // What is signed says so itself: a webhook without its signature gets 401 as well.
    if (!route.includes("/webhooks/")) expect(status).not.toBe(401);
    expect(status).not.toBe(403);
  });

  test("a thing that does not exist looks like a thing of another customer", async () => {
    for (const route of Object.keys(matrix).filter((name) => name.startsWith("GET") && name.includes(":"))) {
      const absent = await call(route, "admin", {});
      expect([route, absent.status === 404 || absent.status === 403]).toEqual([route, true]);
    }
  });

  test("a client that sends a price, a state or a role is told which field it may not set [fault 31]", async () => {
    const { status, body } = await call("POST /api/sales", "sales");
    expect(status).toBe(400);
    const fields = problemSchema.parse(body).errors?.map(({ field }) => field);
    expect(fields).toEqual(expect.arrayContaining(["body.price", "body.state", "body.role"]));
  });

  test("every public route says why", () => {
    for (const [route, access] of Object.entries(accessTable))
      if (access.kind === "public") expect([route, access.why.length > 10]).toEqual([route, true]);
  });
});
