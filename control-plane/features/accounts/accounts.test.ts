import { sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Mailbox } from "../../testing/fakes.ts";
import { newSale, type Person, type Staff, seedStaff, signIn } from "../../testing/fixtures/people.ts";
import { type StandIns, startStandIns } from "../../testing/stand-ins.ts";
import { startTestPlatform, type TestPlatform } from "../../testing/test-platform.ts";
import { seedCatalog } from "../catalog/seed-catalog.ts";
import { issueCredentials } from "./issue-credentials.ts";
import { credentialsAttempts } from "./jobs.ts";

let mailbox: Mailbox;
let platform: TestPlatform;
let standIns: StandIns;
let staff: Staff;

beforeAll(async () => {
  standIns = await startStandIns(["gateway"]);
  platform = await startTestPlatform({ name: "accounts", partners: standIns.partners });
  await standIns.meet({ clock: platform.clock });
  mailbox = platform.fakes.mail;
  await seedCatalog(platform.db);
  staff = await seedStaff(platform);
});
afterAll(async () => {
  await platform?.close();
  await standIns?.close();
});

function attempt(username: string, password: string) {
  return platform.server.inject({ method: "POST", url: "/api/sign-in", payload: { username, password } });
}

async function sell(email: string): Promise<string> {
  const sold = await staff.sales.post("/api/sales", newSale({ email }));
  expect(sold.status).toBe(201);
  return sold.text("expediente.id");
}

async function readStepEvents(person: Person, expedienteId: string) {
  const { body } = await person.get(`/api/expedientes/${expedienteId}/steps`);
  return body;
}

describe("a sale's credentials [AU2, AU3, DO3]", () => {
  test("are generated and mailed at once, unaided, and open the customer's own expediente [LF1, NT1, DA3]", async () => {
    const email = "first@customer.example";
    const expedienteId = await sell(email);
    expect(await platform.runJobs()).toBe(0);

    const [letter] = mailbox.to(email);
    expect(letter?.text).toContain("Lucía Ferrer");
    expect(letter?.text).toContain(email);
    const password = mailbox.passwordOf(email);
    // 192 random bits: more than the 128 the business asks for.
    expect(password).toMatch(/^caas-[A-Za-z0-9_-]{32}$/);
    const customer = await signIn(platform, email, password);
    expect((await customer.get("/api/me")).body).toMatchObject({ role: "customer", dealershipId: null });
    const record = await customer.get(`/api/expedientes/${expedienteId}`);
    expect(record.body).toMatchObject({
      credentials: { username: email, issuedAt: platform.clock.now().toISOString() },
    });
    expect(await readStepEvents(customer, expedienteId)).toMatchObject({
      steps: [
        { event: "saleRegistered", automation: { row: "AU1" }, actor: "staff", automatic: false },
        { event: "credentialsGenerated", automation: { row: "AU2" }, actor: "system", automatic: true },
        { event: "credentialsMailed", automation: { row: "AU3" }, actor: "system", automatic: true },
      ],
    });
  });

  test("the password is nowhere in the database, in no step and in no notification", async () => {
    const email = "secret@customer.example";
    const expedienteId = await sell(email);
    await platform.runJobs();
    const password = mailbox.passwordOf(email);
    const tables = await sql<{ schema: string; name: string }>`
      select schemaname as schema, tablename as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema')`.execute(platform.db);
    expect(tables.rows.length).toBeGreaterThan(20);
    for (const { schema, name } of tables.rows) {
      const { rows } = await sql`select * from ${sql.table(`${schema}.${name}`)}`.execute(platform.db);
      expect(JSON.stringify(rows), name).not.toContain(password);
    }
    const { body } = await staff.sales.get(`/api/expedientes/${expedienteId}/notifications`);
    expect(body).toMatchObject({
      notifications: [{ row: "NT1", channel: "email", status: "accepted", priority: "high" }],
    });
    expect(JSON.stringify(body)).toContain("Password: ••••");
  });

  test("a mail server that is down delays them: the next try makes a new password, and one step says so", async () => {
    const email = "late@customer.example";
    const expedienteId = await sell(email);
    mailbox.fail(1);
    expect(await platform.runJobs()).toBe(1);
    expect(await staff.sales.get(`/api/expedientes/${expedienteId}`)).toMatchObject({
      body: { credentials: { username: email, issuedAt: null } },
    });
    expect(await platform.retryJobs()).toBe(0);
    const letters = mailbox.to(email);
    expect(letters).toHaveLength(1);
    await signIn(platform, email, mailbox.passwordOf(email));
    const { body } = await staff.sales.get(`/api/expedientes/${expedienteId}/steps`);
    expect(body).toMatchObject({
      steps: [{}, { event: "credentialsGenerated" }, { event: "credentialsMailed" }],
    });
  });

  test("two sales before the first sign-in: one account, and the one password that was mailed stays valid [N5]", async () => {
    const email = "both@customer.example";
    const sales = [await sell(email), await sell(email)];
    const { context, notifications } = platform;
    // Both mails are under way at once, as the jobs of two processes.
    await Promise.all(
      sales.map((expedienteId) => issueCredentials(context, notifications.sendCredentials, expedienteId, 1)),
    );
    await platform.runJobs();
    const letters = mailbox.to(email);
    expect(letters).toHaveLength(2);
    const [withPassword, ...others] = letters.filter(({ text }) => text.includes("caas-"));
    expect(others).toEqual([]);
    const pointing = letters.find((letter) => letter !== withPassword);
    const reference = /EXP-[0-9A-Z-]+/.exec(withPassword?.subject ?? "")?.[0];
    expect(pointing?.text).toContain(`the one in our mail about your purchase ${reference}`);
    const customer = await signIn(platform, email, mailbox.passwordOf(email));
    for (const expedienteId of sales)
      expect((await customer.get(`/api/expedientes/${expedienteId}`)).status).toBe(200);
  });

  test("the mail with the password comes after the other one: its next try makes the password that is valid [N5]", async () => {
    const email = "overtaken@customer.example";
    await sell(email);
    mailbox.fail(1);
    expect(await platform.runJobs()).toBe(1);
    await sell(email);
    expect(await platform.runJobs()).toBe(0);
    expect(mailbox.to(email).map(({ text }) => text.includes("caas-"))).toEqual([false]);
    expect(await platform.retryJobs()).toBe(0);
    expect(mailbox.to(email).map(({ text }) => text.includes("caas-"))).toEqual([false, true]);
    await signIn(platform, email, mailbox.passwordOf(email));
  });

  test("the mail that another one points to is refused for good: the other one's next try carries a password [N5, R12]", async () => {
    const email = "refused.first@customer.example";
    await sell(email);
    mailbox.fail(1);
    expect(await platform.runJobs()).toBe(1);
    await sell(email);
    mailbox.fail(1);
    expect(await platform.runJobs()).toBe(1);
    // The older job runs first.
    mailbox.refuse(1);
    expect(await platform.retryJobs()).toBe(0);
    expect(mailbox.to(email)).toHaveLength(1);
    await signIn(platform, email, mailbox.passwordOf(email));
  });

  test("an address that the mail server refuses for good: no second try, and a task at once [R12]", async () => {
    const email = "refused@customer.example";
    const expedienteId = await sell(email);
    mailbox.refuse(1);
    expect(await platform.runJobs()).toBe(0);
    expect(await platform.retryJobs()).toBe(0);
    expect(mailbox.to(email)).toEqual([]);
    const url = `/api/expedientes/${expedienteId}`;
    expect((await staff.sales.get(`${url}/notifications`)).body).toMatchObject({
      notifications: [{ row: "NT1", status: "failed" }],
    });
    const tasks = await platform.db
      .selectFrom("tasks")
      .where("expediente_id", "=", expedienteId)
      .select(["kind", "title", "status"])
      .execute();
    expect(tasks).toEqual([
      {
        kind: "mailUndeliverable",
        title: "The customer could not be reached by e-mail: Credentials generated",
        status: "open",
      },
    ]);
    // The customer's next purchase does not point to a mail that never arrived.
    await sell(email);
    await platform.runJobs();
    await signIn(platform, email, mailbox.passwordOf(email));
  });

  test("a mail server that is down for too long leaves a task, and no try goes on in silence [R12]", async () => {
    const email = "down@customer.example";
    const expedienteId = await sell(email);
    mailbox.fail(credentialsAttempts);
    expect(await platform.runJobs()).toBe(1);
    for (let attempt = 2; attempt < credentialsAttempts; attempt += 1)
      expect(await platform.retryJobs()).toBe(1);
    expect(await platform.retryJobs()).toBe(0);
    expect(await platform.retryJobs()).toBe(0);
    const tasks = await platform.db
      .selectFrom("tasks")
      .where("expediente_id", "=", expedienteId)
      .select("kind")
      .execute();
    expect(tasks).toEqual([{ kind: "mailUndeliverable" }]);
  });

  test("a customer who buys again keeps the account: the mail says so and holds no password", async () => {
    const email = "again@customer.example";
    await sell(email);
    await platform.runJobs();
    const second = await sell(email);
    await platform.runJobs();
    const [, next, ...more] = mailbox.to(email);
    expect(more).toEqual([]);
    expect(next?.text).not.toContain("caas-");
    const customer = await signIn(platform, email, mailbox.passwordOf(email));
    expect((await customer.get(`/api/expedientes/${second}`)).status).toBe(200);
    expect((await customer.get("/api/expedientes")).body).toMatchObject({ expedientes: [{}, {}] });
  });
});

describe("signing in [fault 32]", () => {
  test("answers an unknown user and a wrong password alike", async () => {
    const email = "known@customer.example";
    await sell(email);
    await platform.runJobs();
    const wrong = await attempt(email, "not the password");
    const unknown = await attempt("nobody@customer.example", "not the password");
    expect(wrong.statusCode).toBe(401);
    expect(unknown.statusCode).toBe(401);
    expect(unknown.json()).toEqual(wrong.json());
  });

  test("is refused with 429 after ten tries in a minute, and only for that user name", async () => {
    const statuses: number[] = [];
    for (let guess = 0; guess < 12; guess += 1)
      statuses.push((await attempt("Guessed@customer.example ", `guess ${guess}`)).statusCode);
    expect(statuses).toEqual([...Array(10).fill(401), 429, 429]);
    const limited = await attempt("guessed@customer.example", "guess");
    expect(limited.json()).toMatchObject({ code: "tooManyRequests", status: 429 });
    expect((await attempt("other@customer.example", "guess")).statusCode).toBe(401);
  });

  test.each([
    ["an unknown field", { username: "a", password: "b", role: "admin" }, "role"],
    ["no password", { username: "a" }, "body.password"],
    ["a number as user name", { username: 7, password: "b" }, "body.username"],
  ])("with %s is refused with 400 that names it", async (_what, payload, named) => {
    const reply = await platform.server.inject({ method: "POST", url: "/api/sign-in", payload });
    expect(reply.statusCode).toBe(400);
    expect(reply.body).toContain(named);
  });

  test("gives browsers a cookie that scripts cannot read", async () => {
    const email = "cookie@customer.example";
    await sell(email);
    await platform.runJobs();
    const reply = await attempt(email, mailbox.passwordOf(email));
    const cookie = String(reply.headers["set-cookie"]);
    expect(cookie).toMatch(/HttpOnly/i);
    expect(cookie).toMatch(/SameSite=Lax/i);
    const me = await platform.server.inject({
      method: "GET",
      url: "/api/me",
      headers: { cookie: cookie.split(";")[0] },
    });
    expect(me.statusCode).toBe(200);
  });
});

describe("an account", () => {
  test("a token is worth nothing after signing out", async () => {
    const email = "leaving@customer.example";
    await sell(email);
    await platform.runJobs();
    const customer = await signIn(platform, email, mailbox.passwordOf(email));
    expect((await customer.post("/api/sign-out")).status).toBe(200);
    expect((await customer.get("/api/me")).status).toBe(401);
  });

  test("a password is changed with the old one only; then the old one is worth nothing", async () => {
    const email = "changing@customer.example";
    await sell(email);
    await platform.runJobs();
    const issued = mailbox.passwordOf(email);
    const customer = await signIn(platform, email, issued);
    const chosen = "una contraseña larga";
    const wrong = await customer.post("/api/me/password", { currentPassword: "no", newPassword: chosen });
    expect(wrong).toMatchObject({ status: 401, body: { errors: [{ field: "body.currentPassword" }] } });
    const short = await customer.post("/api/me/password", { currentPassword: issued, newPassword: "short" });
    expect(short).toMatchObject({ status: 400, body: { errors: [{ field: "body.newPassword" }] } });
    const changed = await customer.post("/api/me/password", { currentPassword: issued, newPassword: chosen });
    expect(changed.status).toBe(200);
    expect((await attempt(email, issued)).statusCode).toBe(401);
    await signIn(platform, email, chosen);
  });
});
