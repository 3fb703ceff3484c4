import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createDealership, createStaff } from "@caas/control-plane/features/accounts/create-staff.ts";
import { seedCatalog } from "@caas/control-plane/features/catalog/seed-catalog.ts";
import { generatePassword } from "@caas/control-plane/http/passwords.ts";
import { startTestPlatform, type TestPlatform } from "@caas/control-plane/testing/test-platform.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, createClient, RestRefused } from "./client.ts";
import {
  listExpedientes,
  listPlansAndOptions,
  listTasks,
  readAVehicle,
  registerASale,
  signIn,
} from "./generated.ts";

let platform: TestPlatform;
let anonymous: Client;
let sales: Client;

beforeAll(async () => {
  platform = await startTestPlatform({ name: "client" });
  await seedCatalog(platform.db);
  const password = generatePassword();
  const username = "ventas@caas.example";
  await platform.db.transaction().execute(async (tx) => {
    const dealershipId = await createDealership(tx, "Ribera");
    await createStaff(tx, { name: "Laura", email: username, password, role: "sales", dealershipId });
  });
  anonymous = createClient({ baseUrl: await platform.listen() });
  const { token } = await signIn({ username, password }, anonymous);
  sales = { ...anonymous, token };
});
afterAll(() => platform?.close());

async function aSale(email: string) {
  const { plans } = await listPlansAndOptions(sales);
  const address = { street: "Calle Mayor 1", city: "Madrid", postalCode: "28013", country: "ES" };
  return {
    customer: { name: "Ana", email, phone: "+34600111222", address },
    planComercial: { base: plans[0]?.code ?? "", options: [] },
  };
}

async function refusalOf(call: Promise<unknown>): Promise<RestRefused> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof RestRefused) return outcome;
  throw new Error("it was not refused", { cause: outcome });
}

describe("the REST client", () => {
  test("a sale is registered with the token of the signed-in user, and read back with its typed fields", async () => {
    const { expediente } = await registerASale(await aSale("ana@caas.example"), sales);
    const { expedientes } = await listExpedientes({ search: expediente.reference }, sales);
    expect(expedientes.map(({ reference }) => reference)).toEqual([expediente.reference]);
  });

  test("a POST repeated with the key of the first try is one sale; without a key each is a new intent", async () => {
    const sale = await aSale("berta@caas.example");
    const once = { ...sales, idempotencyKey: "one-sale" };
    const first = await registerASale(sale, once);
    expect(await registerASale(sale, once)).toEqual(first);
    expect((await registerASale(sale, sales)).expediente.reference).not.toBe(first.expediente.reference);
  });

  test("a refusal is thrown with the platform's problem: its code, and the fields that are wrong", async () => {
    const sale = await aSale("carla@caas.example");
    const wrong = { ...sale, customer: { ...sale.customer, phone: "600" } };
    const { problem, message } = await refusalOf(registerASale(wrong, sales));
    expect(problem).toMatchObject({ status: 400, code: "badRequest" });
    expect(problem.errors?.map(({ field }) => field)).toEqual(["body.customer.phone"]);
    expect(message).toContain("POST /api/sales was refused with 400 badRequest");
  });

  test("without a token only the public routes answer", async () => {
    const refusal = await refusalOf(listPlansAndOptions(anonymous));
    expect(refusal.problem.code).toBe("notSignedIn");
  });

  test("an id is one segment of the path, whatever characters it contains", async () => {
    const asked: string[] = [];
    const client = createClient({
      baseUrl: "http://127.0.0.1:1/",
      fetch: async (address) => {
        asked.push(String(address));
        return new Response("{}");
      },
    });
    await readAVehicle("../tasks?x=", client);
    await listTasks({}, client);
    expect(asked).toEqual([
      "http://127.0.0.1:1/api/vehicles/..%2Ftasks%3Fx%3D",
      "http://127.0.0.1:1/api/tasks",
    ]);
  });

  test("an answer that is not the platform's is reported as unreadable", async () => {
    const proxy = createServer((_request, response) => response.writeHead(502).end("<h1>Bad gateway</h1>"));
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.address() as AddressInfo; // it listens on TCP
    const refusal = await refusalOf(listTasks({}, createClient({ baseUrl: `http://127.0.0.1:${port}` })));
    expect(refusal.problem).toMatchObject({ status: 502, code: "unreadable" });
    await new Promise((resolve) => proxy.close(resolve));
  });

  test("a caller that aborts gets no answer", async () => {
    const call = listTasks({}, { ...sales, signal: AbortSignal.abort(new Error("closed the page")) });
    await expect(call).rejects.toThrow("closed the page");
  });

  test("an address that is none is refused at once", () => {
    expect(() => createClient({ baseUrl: "ftp://127.0.0.1" })).toThrow("no http or https address");
  });
});
