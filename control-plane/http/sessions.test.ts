import { createHmac } from "node:crypto";
import { dayMs } from "@caas/contract/durations.ts";
import { sql } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createStaff } from "../features/accounts/create-staff.ts";
import { seedCatalog } from "../features/catalog/seed-catalog.ts";
import { startTestPlatform, type TestPlatform } from "../testing/test-platform.ts";
import { generatePassword } from "./passwords.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import { mostTries } from "./try-limits.ts";

let platform: TestPlatform;
/** Another process on the same database. */
let replica: Sessions;
let people = 0;

beforeAll(async () => {
  platform = await startTestPlatform({ name: "sessions" });
  await seedCatalog(platform.db);
  replica = createSessions(platform.opened, platform.config.SESSION_SECRET, "http://127.0.0.1");
});
afterAll(() => platform?.close());
beforeEach(() => platform.db.deleteFrom("try_limits").execute());

async function addPerson(password = generatePassword()) {
  people += 1;
  const email = `person.${people}@caas.example`;
  const person = { name: "Vera Ortiz", email, password, role: "support", dealershipId: null } as const;
  await platform.db.transaction().execute((tx) => createStaff(tx, person));
  return { email, password };
}

function signIn(username: string, password: string, from = "192.0.2.1") {
  return platform.server.inject({
    method: "POST",
    url: "/api/sign-in",
    // Our own proxy on loopback says where the client is.
    headers: { "x-forwarded-for": from },
    payload: { username, password },
  });
}

async function tokenOf({ email, password }: { email: string; password: string }): Promise<string> {
  const reply = await signIn(email, password);
  expect(reply.statusCode).toBe(200);
  return reply.json().token;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const whoAmI = async (token: string) =>
  (await platform.server.inject({ url: "/api/me", headers: bearer(token) })).statusCode;

function changePassword(token: string, currentPassword: string, newPassword: string, from = "192.0.2.1") {
  return platform.server.inject({
    method: "POST",
    url: "/api/me/password",
    headers: { ...bearer(token), "x-forwarded-for": from },
    payload: { currentPassword, newPassword },
  });
}

describe("a session", () => {
  test("cannot be taken over with a copy of the database: it holds no token, signed or unsigned [R13]", async () => {
    const token = await tokenOf(await addPerson());
    const plain = token.split(".")[0] ?? "";
    const { rows } = await sql<{ token: string }>`select * from auth_sessions`.execute(platform.db);
    expect(rows).not.toHaveLength(0);
    expect(JSON.stringify(rows)).not.toContain(plain);
    for (const { token: stored } of rows) {
      const signed = createHmac("sha256", platform.config.SESSION_SECRET).update(stored).digest("base64");
      for (const stolen of [stored, `${stored}.${signed}`]) {
        expect(await whoAmI(stolen)).toBe(401);
        const cookie = `better-auth.session_token=${encodeURIComponent(stolen)}`;
        const reply = await platform.server.inject({ url: "/api/me", headers: { cookie } });
        expect(reply.statusCode).toBe(401);
      }
    }
    expect(await whoAmI(token)).toBe(200);
  });

  test("that is older than a day gets its full time again, by token and by cookie, and ends by signing out [R13]", async () => {
    const person = await addPerson();
    const reply = await signIn(person.email, person.password);
    const cookie = String(reply.headers["set-cookie"]).split(";")[0] ?? "";
    for (const headers of [bearer(reply.json().token), { cookie }]) {
      await sql`update auth_sessions set "expiresAt" = now() + interval '2 days'`.execute(platform.db);
      expect((await platform.server.inject({ url: "/api/me", headers })).statusCode).toBe(200);
      const { rows } = await sql<{ days: number }>`
        select extract(epoch from "expiresAt" - now())::float8 / 86400 as days from auth_sessions
        where "expiresAt" > now() + interval '3 days'`.execute(platform.db);
      expect(rows.map(({ days }) => Math.round(days))).toEqual([7]);
    }
    await platform.server.inject({
      method: "POST",
      url: "/api/sign-out",
      headers: bearer(reply.json().token),
    });
    expect(await whoAmI(reply.json().token)).toBe(401);
  });

  test("ends, with every other of the account, when its password is changed; those of others do not", async () => {
    const [person, other] = [await addPerson(), await addPerson()];
    const tokens = [await tokenOf(person), await tokenOf(person)];
    const foreign = await tokenOf(other);
    const changed = await changePassword(tokens[0] ?? "", person.password, "four unrelated words here");
    expect(changed.statusCode).toBe(200);
    expect(await Promise.all([...tokens, foreign].map(whoAmI))).toEqual([401, 401, 200]);
  });
});

describe("a new password", () => {
  test.each([
    ["common", "password1234"],
    ["a row of keys", "1q2w3e4r5t6y"],
    ["made of the person's own name", "vera.ortiz1999"],
    ["short", "11 letters."],
  ])("that is %s is refused with its field [R20]", async (_what, chosen) => {
    const person = await addPerson();
    const token = await tokenOf(person);
    const reply = await changePassword(token, person.password, chosen);
    expect([reply.statusCode, reply.json().errors[0].field]).toEqual([400, "body.newPassword"]);
    expect(await whoAmI(token)).toBe(200);
  });

  test("that is the old one is refused [R20]", async () => {
    const password = "four unrelated words here";
    const person = await addPerson(password);
    const reply = await changePassword(await tokenOf(person), password, password);
    expect(reply.json()).toMatchObject({ status: 400, errors: [{ field: "body.newPassword" }] });
  });
});

describe("tries with a password", () => {
  const wrong = (count: number, username: (index: number) => string, from?: (index: number) => string) =>
    Promise.all(
      Array.from({ length: count }, (_, index) => signIn(username(index), "a wrong password", from?.(index))),
    );
  const countOf = (replies: { statusCode: number }[], status: number) =>
    replies.filter(({ statusCode }) => statusCode === status).length;

  test("300 with different names from one address are refused with the time to wait, and others still sign in [R2]", async () => {
    const person = await addPerson();
    const replies = await wrong(300, (index) => `name.${index}@caas.example`);
    expect(countOf(replies, 429)).toBeGreaterThanOrEqual(300 - mostTries.address);
    expect(countOf(replies, 401) + countOf(replies, 429)).toBe(300);
    const refused = replies.find(({ statusCode }) => statusCode === 429);
    expect(refused?.json()).toMatchObject({ code: "tooManyRequests", status: 429 });
    expect(Number(refused?.headers["retry-after"])).toBeGreaterThan(0);
    expect((await signIn(person.email, person.password, "198.51.100.7")).statusCode).toBe(200);
  });

  test("from one /64 of IPv6 count together, and from another for themselves [R2]", async () => {
    await platform.db
      .insertInto("try_limits")
      .values({ key: "address:2001:db8:1:2", points: mostTries.address, expire: Date.now() + 60_000 })
      .execute();
    expect((await signIn("a@caas.example", "wrong", "2001:db8:1:2:a:b:c:d")).statusCode).toBe(429);
    expect((await signIn("a@caas.example", "wrong", "2001:db8:1:3::1")).statusCode).toBe(401);
  });

  test("for one account are counted over all addresses and all replicas [R2]", async () => {
    const { email, password } = await addPerson();
    for (let index = 0; index < mostTries.account - 1; index += 1)
      expect((await signIn(email, "wrong", `192.0.2.${index}`)).statusCode).toBe(401);
    const from = { headers: new Headers(), address: "198.51.100.1" };
    expect(
      await replica.signIn({ username: ` ${email.toUpperCase()}`, password: "wrong", from }),
    ).toMatchObject({
      code: "wrongCredentials",
    });
    expect(await replica.signIn({ username: email, password, from })).toMatchObject({
      code: "tooManyRequests",
      retryAfterSeconds: expect.any(Number),
    });
    expect((await signIn(email, password, "192.0.2.99")).statusCode).toBe(429);
    // A minute later.
    await platform.db.updateTable("try_limits").set({ expire: Date.now() }).execute();
    expect((await signIn(email, password)).statusCode).toBe(200);
  });

  test("that succeed do not count for their address: a dealership signs in behind one [R2]", async () => {
    const chosen = await addPerson("four unrelated words here");
    for (const person of [chosen, await addPerson()])
      for (let count = 0; count < 3; count += 1) await tokenOf(person);
    const { points } = await platform.db
      .selectFrom("try_limits")
      .select("points")
      .where("key", "=", "address:192.0.2.1")
      .executeTakeFirstOrThrow();
    expect(points).toBe(0);
  });

  test("with a password of the generated form count when they fail [R2]", async () => {
    for (let count = 0; count < 3; count += 1) await signIn(`x${count}@caas.example`, generatePassword());
    const rows = await platform.db
      .selectFrom("try_limits")
      .select(["key", "points"])
      .where("key", "like", "address:%")
      .execute();
    expect(rows).toEqual([{ key: "address:192.0.2.1", points: 3 }]);
    const person = await addPerson();
    await platform.db.updateTable("try_limits").set({ points: mostTries.address }).execute();
    expect((await signIn(person.email, person.password)).statusCode).toBe(429);
    expect((await signIn(person.email, person.password, "198.51.100.7")).statusCode).toBe(200);
  });

  test("from many addresses at once are answered 401 or 429 with Retry-After, never 5xx, and a session goes on meanwhile [R2]", async () => {
    const token = await tokenOf(await addPerson());
    const flood = wrong(
      90,
      (index) => `many.${index}@caas.example`,
      (index) => `203.0.113.${index}`,
    );
    expect(await Promise.all(Array.from({ length: 10 }, () => whoAmI(token)))).toEqual(Array(10).fill(200));
    const replies = await flood;
    expect(countOf(replies, 401)).toBeGreaterThanOrEqual(26);
    const busy = replies.filter(({ statusCode }) => statusCode === 429);
    expect(busy.length + countOf(replies, 401)).toBe(90);
    expect(busy.length).toBeGreaterThan(0);
    expect(busy.map((reply) => Number(reply.headers["retry-after"]))).toEqual(busy.map(() => 1));
  });

  test("are limited altogether, whatever address they come from [R2]", async () => {
    await platform.db
      .insertInto("try_limits")
      .values({ key: "total:all", points: mostTries.total, expire: Date.now() + 60_000 })
      .execute();
    expect((await signIn("a@caas.example", "wrong", "203.0.113.9")).statusCode).toBe(429);
  });

  test("count for the change of a password as for signing in [R2]", async () => {
    const person = await addPerson();
    const token = await tokenOf(person);
    const statuses: number[] = [];
    for (let count = 0; count < mostTries.account; count += 1)
      statuses.push((await changePassword(token, "wrong", "four unrelated words here")).statusCode);
    // The sign-in was the first try.
    expect(statuses).toEqual([...Array(mostTries.account - 1).fill(401), 429]);
    const refused = await changePassword(token, person.password, "four unrelated words here");
    expect([refused.statusCode, Number(refused.headers["retry-after"]) > 0]).toEqual([429, true]);
  });
});

describe("what is kept for a time", () => {
  test("is removed by a job that makes its own next one: ended sessions, old keys, ids of webhooks, counts of tries [R17]", async () => {
    const { db } = platform;
    const kept = await tokenOf(await addPerson());
    await tokenOf(await addPerson());
    await sql`update auth_sessions set "expiresAt" = now() - interval '1 second'
      where "userId" = (select "userId" from auth_sessions order by "createdAt" desc limit 1)`.execute(db);
    const ago = (days: number) => new Date(Date.now() - days * dayMs);
    for (const [key, days] of [
      ["old", 31],
      ["young", 29],
    ] as const) {
      await db
        .insertInto("idempotency_keys")
        .values({ principal: "ana", key, route: "POST /x", body_hash: "h", created_at: ago(days) })
        .execute();
      await db
        .insertInto("received_webhooks")
        .values({ source: "factory", id: key, type: "x", received_at: ago(days) })
        .execute();
      await db
        .insertInto("try_limits")
        .values({ key, points: 1, expire: ago(days - 30).getTime() })
        .execute();
    }
    await platform.retention.schedule();
    expect(await platform.runJobs()).toBe(0);

    const { rows } =
      await sql`select count(*)::int as ended from auth_sessions where "expiresAt" < now()`.execute(db);
    expect(rows).toEqual([{ ended: 0 }]);
    expect(await whoAmI(kept)).toBe(200);
    expect(await db.selectFrom("idempotency_keys").select("key").execute()).toEqual([{ key: "young" }]);
    expect(await db.selectFrom("received_webhooks").select("id").execute()).toEqual([{ id: "young" }]);
    const tries = await db
      .selectFrom("try_limits")
      .select("key")
      .where("key", "in", ["old", "young"])
      .execute();
    expect(tries).toEqual([{ key: "young" }]);
    const next = await db
      .selectFrom("jobs")
      .select(["kind", "due_at", "attempts"])
      .where("kind", "=", "prune")
      .execute();
    expect(next).toEqual([{ kind: "prune", due_at: expect.any(Date), attempts: 0 }]);
    expect(next[0]?.due_at.getTime()).toBeGreaterThan(Date.now() + 50 * 60_000);
  });
});
