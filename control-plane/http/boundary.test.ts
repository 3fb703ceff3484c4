import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { createStaff } from "../features/accounts/create-staff.ts";
import { seedCatalog } from "../features/catalog/seed-catalog.ts";
import { newSale, type Staff, seedStaff } from "../testing/fixtures/people.ts";
import { startTestPlatform, type TestPlatform } from "../testing/test-platform.ts";
import { generatePassword } from "./passwords.ts";
import { createServer } from "./server.ts";

// What every request of a person meets before its route.

let platform: TestPlatform;
let staff: Staff;
let token: string;
let password: string;
let address: string;
const half = "🚗".charAt(0);

beforeAll(async () => {
  platform = await startTestPlatform({ name: "boundary" });
  await seedCatalog(platform.db);
  staff = await seedStaff(platform);
  password = generatePassword();
  const seller = { name: "Vera", email, password, role: "sales", dealershipId: staff.dealershipId } as const;
  await platform.db.transaction().execute((tx) => createStaff(tx, seller));
  ({ token } = await signedIn());
  address = await platform.listen();
});
afterAll(() => platform?.close());

const email = "vera@caas.example";

async function signedIn(): Promise<{ token: string; cookie: string }> {
  const reply = await platform.server.inject({
    method: "POST",
    url: "/api/sign-in",
    payload: { username: email, password },
  });
  // Only this test signs in so often.
  await platform.db.deleteFrom("try_limits").execute();
  return { token: reply.json().token, cookie: String(reply.headers["set-cookie"]).split(";")[0] ?? "" };
}

const send = (
  method: "GET" | "POST" | "PUT",
  url: string,
  headers: Record<string, string> = {},
  payload?: string | Buffer,
) =>
  platform.server.inject({
    method,
    url,
    headers: { authorization: `Bearer ${token}`, "idempotency-key": randomUUID(), ...headers },
    ...(payload === undefined ? {} : { payload }),
  });
const json = { "content-type": "application/json" };
const problem = z.object({
  status: z.int(),
  code: z.string(),
  detail: z.string(),
  errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
});

function problemIn(reply: { statusCode: number; headers: Record<string, unknown>; body: string }) {
  expect(reply.headers["content-type"]).toMatch(/^application\/problem\+json/);
  const read = problem.parse(JSON.parse(reply.body));
  expect(read.status).toBe(reply.statusCode);
  return { status: read.status, code: read.code, fields: read.errors?.map(({ field }) => field) };
}

describe("text that cannot be stored is refused with its field", () => {
  const sale = newSale();
  test.each([
    [
      "a NUL in a name",
      { ...sale, customer: { ...sale.customer, name: "Lucía\u0000" } },
      "body.customer.name",
    ],
    [
      "half of an emoji in a name",
      { ...sale, customer: { ...sale.customer, name: `Lucía ${half}` } },
      "body.customer.name",
    ],
    [
      "a NUL in a street",
      {
        ...sale,
        customer: { ...sale.customer, address: { ...sale.customer.address, street: "Calle\u0000 1" } },
      },
      "body.customer.address.street",
    ],
    [
      "a NUL in a plan",
      { ...sale, planComercial: { ...sale.planComercial, base: "ciudad\u0000" } },
      "body.planComercial.base",
    ],
    [
      "a NUL in an option",
      { ...sale, planComercial: { ...sale.planComercial, options: ["winterPack", "\u0000"] } },
      "body.planComercial.options.1",
    ],
    ["a NUL in an unknown field's name", { ...sale, "x\u0000": 1 }, "body"],
  ])("%s [F18, R8]", async (_what, payload, field) => {
    const reply = await send("POST", "/api/sales", json, JSON.stringify(payload));
    expect(problemIn(reply)).toEqual({ status: 400, code: "badRequest", fields: [field] });
  });

  test.each([
    ["a search", "/api/expedientes?vehicleState=Registered%00", "querystring.vehicleState"],
    ["an address", `/api/expedientes/${randomUUID().slice(1)}%00`, "params.expedienteId"],
    ["a search of tasks", "/api/tasks?team=%00", "querystring.team"],
  ])("a NUL in %s [F18, R8]", async (_what, url, field) => {
    expect(problemIn(await send("GET", url))).toEqual({ status: 400, code: "badRequest", fields: [field] });
  });

  test("an escape in a search that is no UTF-8, or none at all [F18, R20]", async () => {
    for (const search of ["%ff%fe", "%zz", "100%", "%ED%A0%BD"])
      expect(problemIn(await send("GET", `/api/expedientes?search=${search}`))).toEqual({
        status: 400,
        code: "badRequest",
        fields: ["querystring"],
      });
    for (const search of ["100%25", "a+b", "%F0%9F%9A%97"])
      expect((await send("GET", `/api/expedientes?search=${search}`)).statusCode).toBe(200);
  });

  test("a NUL in a user name or a password [F18]", async () => {
    for (const [field, given] of [
      ["body.username", { username: "a\u0000@b.example", password: "x" }],
      ["body.password", { username: "a@b.example", password: "\u0000" }],
    ] as const) {
      const reply = await platform.server.inject({ method: "POST", url: "/api/sign-in", payload: given });
      expect(problemIn(reply)).toEqual({ status: 400, code: "badRequest", fields: [field] });
    }
  });

  test("text that only looks odd is taken to the letter: emoji, tabs, combining marks [F18]", async () => {
    const name = "Zoë 🚗 O'Brien-Łukasz é";
    const sold = await staff.sales.post("/api/sales", newSale({ name }));
    expect(sold.status).toBe(201);
    expect(sold.text("expediente.customer.name")).toBe(name);
  });
});

describe("a body", () => {
  test("that is not UTF-8 is refused, not changed [F18]", async () => {
    const reply = await send("POST", "/api/sales", json, Buffer.from('{"a":"\xff"}', "latin1"));
    expect(problemIn(reply)).toMatchObject({ status: 400, code: "badRequest" });
    expect(reply.body).toContain("UTF-8");
  });

  test("that is empty does for a POST without fields, with and without a content type [N9]", async () => {
    for (const headers of [{}, json]) {
      const { token: again } = await signedIn();
      const reply = await platform.server.inject({
        method: "POST",
        url: "/api/sign-out",
        headers: { authorization: `Bearer ${again}`, ...headers },
      });
      expect([reply.statusCode, reply.json()]).toEqual([200, { signedOut: true }]);
    }
  });

  test("that is empty where fields are needed is refused with each field [N9]", async () => {
    const reply = await send("POST", "/api/sales");
    expect(problemIn(reply)).toEqual({
      status: 400,
      code: "badRequest",
      fields: ["body.customer", "body.planComercial"],
    });
  });

  test.each(["null", "[]", '"x"', "1"])(
    "that is %s is refused, with or without fields [N9, R8]",
    async (payload) => {
      for (const url of ["/api/sales", "/api/sign-out"])
        expect(problemIn(await send("POST", url, json, payload))).toMatchObject({
          status: 400,
          code: "badRequest",
        });
    },
  );

  test.each([
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "nonsense",
  ])("of the type %s is refused with 415 [R20]", async (type) => {
    const reply = await send("POST", "/api/sales", { "content-type": type }, "{}");
    expect(problemIn(reply)).toMatchObject({ status: 415, code: "unsupportedMediaType" });
  });

  test.each(["factory", "payments", "transport"])(
    "of a message of the type text/plain is refused to %s with 415, which its description lists",
    async (partner) => {
      const reply = await send("POST", `/webhooks/${partner}`, { "content-type": "text/plain" }, "{}");
      expect(problemIn(reply)).toMatchObject({ status: 415, code: "unsupportedMediaType" });
    },
  );

  test("of 64 KiB is read, and of one byte more refused with 413", async () => {
    const of = (bytes: number) => JSON.stringify({ x: "x".repeat(bytes - 8) });
    expect(problemIn(await send("POST", "/api/sales", json, of(64 * 1024)))).toMatchObject({ status: 400 });
    const larger = await send("POST", "/api/sales", json, of(64 * 1024 + 1));
    expect(problemIn(larger)).toMatchObject({ status: 413, code: "payloadTooLarge" });
  });
});

describe("what is no request of ours is answered with a problem, too", () => {
  test.each([
    ["GET", "/api/expedientes/%zz", 400, "badRequest"],
    ["GET", "/api/vehicles/%", 400, "badRequest"],
    ["GET", "/nowhere", 404, "notFound"],
    ["PUT", "/api/sales", 405, "methodNotAllowed"],
    ["GET", "/api/sales", 405, "methodNotAllowed"],
    ["GET", `/api/vehicles/${"x".repeat(200)}`, 414, "addressTooLong"],
  ] as const)("%s %s: %i [R20]", async (method, url, status, code) => {
    const reply = await send(method, url);
    expect(problemIn(reply)).toMatchObject({ status, code });
  });

  test("405 names the methods that the address takes, and 404 stays where nothing is [R20]", async () => {
    expect((await send("PUT", `/api/vehicles/${randomUUID()}/link`)).headers.allow).toBe("POST");
    expect((await send("PUT", "/api/sign-in/more")).statusCode).toBe(404);
  });

  test("headers that are too large, and bytes that are no HTTP [R20]", async () => {
    const { port } = new URL(address);
    const ask = async (bytes: string) => {
      const socket = connect(Number(port), "127.0.0.1");
      await once(socket, "connect");
      socket.end(bytes);
      return text(socket);
    };
    const tooLarge = await ask(`GET /health HTTP/1.1\r\nhost: localhost\r\nx: ${"x".repeat(20_000)}\r\n\r\n`);
    expect(tooLarge).toMatch(/^HTTP\/1\.1 431 .*"code":"headersTooLarge"/s);
    expect(tooLarge).toContain("application/problem+json");
    expect(await ask("this is no HTTP\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 .*"code":"badRequest"/s);
  });
});

test("a body that comes a byte at a time is cut when its time is over, and the server serves others [R9]", async () => {
  const server = await createServer({
    logger: pino({ level: "silent" }),
    version: "0",
    requestTimeoutMs: 200,
  });
  const url = new URL(await server.listen({ host: "127.0.0.1", port: 0 }));
  const socket = connect(Number(url.port), "127.0.0.1");
  await once(socket, "connect");
  socket.write(
    "POST /api/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
  );
  const trickle = setInterval(() => socket.write(" "), 50);
  socket.on("error", () => undefined);
  const answered = await text(socket);
  clearInterval(trickle);
  expect(answered).toMatch(/^HTTP\/1\.1 408 .*"code":"requestTimeout"/s);
  expect((await server.inject("/openapi.json")).statusCode).toBe(200);
  await server.close();
});

test("nothing that is asked for is kept by a cache, refusals and errors included [R20]", async () => {
  for (const url of [
    "/api/me",
    "/api/expedientes",
    "/api/nothing",
    "/api/expedientes/%zz",
    `/api/vehicles/${randomUUID()}`,
  ])
    expect([url, (await send("GET", url)).headers["cache-control"]]).toEqual([url, "no-store"]);
});

describe("a session's cookie", () => {
  async function withCookie(headers: Record<string, string>, method: "GET" | "POST" = "POST") {
    const { cookie } = await signedIn();
    return platform.server.inject({
      method,
      url: method === "POST" ? "/api/sign-out" : "/api/me",
      headers: { cookie, host: "caas.example", ...headers },
    });
  }

  test.each([
    ["a page of another site", { "sec-fetch-site": "cross-site", origin: "https://caas.example" }],
    ["a page of another part of the site", { "sec-fetch-site": "same-site" }],
    ["another origin", { origin: "https://evil.example" }],
    ["an origin that hides itself", { origin: "null" }],
    ["nobody knows where", {}],
    [
      "another site, with a token that is none",
      { origin: "https://evil.example", authorization: "Bearer nonsense" },
    ],
  ] as [string, Record<string, string>][])("changes nothing for %s [R20]", async (_from, headers) => {
    const reply = await withCookie(headers);
    expect([403, 401]).toContain(reply.statusCode);
  });

  test.each([
    ["our page", { "sec-fetch-site": "same-origin" }],
    ["our page in a browser that says only the origin", { origin: "http://caas.example" }],
  ])("works for %s, and everybody may read with it [R20]", async (_from, headers) => {
    expect((await withCookie(headers)).statusCode).toBe(200);
    expect((await withCookie({ origin: "https://evil.example" }, "GET")).statusCode).toBe(200);
  });
});
