import { randomUUID } from "node:crypto";
import { createDealership, createStaff } from "../features/accounts/create-staff.ts";
import { generatePassword } from "../http/passwords.ts";
import type { TestPlatform } from "./harness.ts";

export type Answer = {
  status: number;
  body: unknown;
  /** The text at a path of the body, as `expediente.vehicle.state`. @throws when there is none */
  text(path: string): string;
};

function toAnswer(status: number, body: unknown): Answer {
  return {
    status,
    body,
    text(path) {
      let value: unknown = body;
      for (const name of path.split("."))
        value = value !== null && typeof value === "object" ? Reflect.get(value, name) : undefined;
      if (typeof value !== "string") throw new Error(`no text at ${path} of ${JSON.stringify(body)}`);
      return value;
    },
  };
}

/** Somebody signed in; `key` is the Idempotency-Key, a new one for each call where none is given. */
export type Person = {
  userId: string;
  get(url: string): Promise<Answer>;
  post(url: string, body?: object, key?: string): Promise<Answer>;
};

export type Staff = {
  dealershipId: string;
  sales: Person;
  otherSales: Person;
  admin: Person;
  support: Person;
};

/** Two dealerships with a sales employee each, one admin and one support employee. */
export async function seedStaff(platform: TestPlatform): Promise<Staff> {
  const password = generatePassword();
  const name = (who: string) => `${who} ${randomUUID().slice(0, 8)}`;
  const mine = name("North");
  const dealerships = await platform.db.transaction().execute(async (tx) => ({
    mine: await createDealership(tx, mine),
    other: await createDealership(tx, name("South")),
  }));
  const add = async (
    who: string,
    post: { role: "admin" | "support"; dealershipId: null } | { role: "sales"; dealershipId: string },
  ): Promise<Person> => {
    const email = `${who}.${randomUUID().slice(0, 8)}@caas.example`;
    await platform.db
      .transaction()
      .execute((tx) => createStaff(tx, { name: name(who), email, password, ...post }));
    return signIn(platform, email, password);
  };
  return {
    dealershipId: dealerships.mine,
    sales: await add("sales", { role: "sales", dealershipId: dealerships.mine }),
    otherSales: await add("other", { role: "sales", dealershipId: dealerships.other }),
    admin: await add("admin", { role: "admin", dealershipId: null }),
    support: await add("support", { role: "support", dealershipId: null }),
  };
}

/** @throws when the credentials are not taken. */
export async function signIn(platform: TestPlatform, username: string, password: string): Promise<Person> {
  const reply = await platform.server.inject({
    method: "POST",
    url: "/api/sign-in",
    payload: { username, password },
  });
  if (reply.statusCode !== 200) throw new Error(`sign-in of ${username}: ${reply.statusCode} ${reply.body}`);
  const authorization = `Bearer ${reply.json().token}`;
  const get = async (url: string): Promise<Answer> => {
    const answer = await platform.server.inject({ method: "GET", url, headers: { authorization } });
    return toAnswer(answer.statusCode, answer.json());
  };
  const me = await get("/api/me");
  return {
    userId: me.text("userId"),
    get,
    async post(url, body = {}, key = randomUUID()) {
      const headers = { authorization, "idempotency-key": key };
      const answer = await platform.server.inject({ method: "POST", url, headers, payload: body });
      return toAnswer(answer.statusCode, answer.json());
    },
  };
}

/** A sale of the demonstration catalogue's smallest plan with two options, to a customer nobody knows yet. */
export function newSale(customer: { name?: string; email?: string; phone?: string } = {}) {
  return {
    customer: {
      name: "Lucía Ferrer",
      email: `lucia.${randomUUID().slice(0, 8)}@customer.example`,
      phone: "+34600111222",
      address: { street: "Calle Mayor 1", city: "Madrid", postalCode: "28013", country: "ES" },
      ...customer,
    },
    planComercial: { base: "ciudad", options: ["winterPack", "premiumSound"] },
  };
}
