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

describe("an employee registers a sale [AU1, DO1]", () => {
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

  test("a second sale to the same e-mail address has its own owner and address, and the account stays one [F20]", async () => {
    const first = newSale({ email: "twice@customer.example" });
    const before = await staff.sales.post("/api/sales", first);
    const second = newSale({
      email: "Twice@customer.example",
      name: "Hugo Robles",
      phone: "+34611000000",
      address: { street: "Gran Vía 2", city: "Bilbao", postalCode: "48001", country: "ES" },
    });
    const after = await staff.sales.post("/api/sales", second);
    expect(after.text("expediente.customer.id")).toBe(before.text("expediente.customer.id"));
    expect(after.body).toMatchObject({
      expediente: { customer: { ...second.customer, email: "twice@customer.example" } },
      notes: [
        expect.stringMatching(/^EXP-.*another name, telephone number, address; each sale keeps its own/),
      ],
    });
    const url = `/api/expedientes/${before.text("expediente.id")}`;
    expect(await staff.sales.get(url)).toMatchObject({ body: { customer: first.customer } });
    expect((await staff.sales.post("/api/sales", second)).body).toMatchObject({ notes: [] });
  });

  test("another identity document of the same e-mail address is in the notes, in its kind, number and country [9]", async () => {
    const passport = { kind: "passport", number: "C01X0006H", country: "DE" };
    const sell = async (identityDocument: object | undefined) => {
      const sale = newSale({ email: "papers@customer.example" });
      const body = { ...sale, customer: { ...sale.customer, identityDocument } };
      return (await staff.sales.post("/api/sales", body)).body;
    };
    const differs = { notes: [expect.stringMatching(/with another identity document; each sale/)] };
    expect(await sell(undefined)).toMatchObject({ notes: [] });
    expect(await sell(passport)).toMatchObject(differs);
    expect(await sell(passport)).toMatchObject({ notes: [] });
    expect(await sell({ ...passport, country: "FR" })).toMatchObject(differs);
    expect(await sell({ kind: "dni", number: "12345678Z" })).toMatchObject(differs);
  });

  test("messages about a sale address its own buyer, and go to its own telephone [F20]", async () => {
    const email = "messages@customer.example";
    await staff.sales.post("/api/sales", newSale({ email }));
    const second = newSale({ email, name: "Hugo Robles", phone: "+34611000000" });
    const expedienteId = (await staff.sales.post("/api/sales", second)).text("expediente.id");
    const paid = { method: "cash", amountCents: 50_000 };
    await staff.sales.post(`/api/expedientes/${expedienteId}/reservation-payment`, paid);
    await platform.db
      .transaction()
      .execute((tx) =>
        platform.context.publish(tx, "notificationDue", [{ row: "NT4", subject: { expedienteId } }]),
      );
    await platform.runJobs();
    const sent = platform.db
      .selectFrom("notifications")
      .where("expediente_id", "=", expedienteId)
      .where("row_id", "in", ["NT5", "NT4"])
      .orderBy("row_id")
      .orderBy("channel");
    expect(await sent.select(["row_id", "channel", "address"]).execute()).toEqual([
      { row_id: "NT4", channel: "email", address: email },
      { row_id: "NT4", channel: "push", address: null },
      { row_id: "NT4", channel: "sms", address: "+34611000000" },
      { row_id: "NT5", channel: "email", address: email },
    ]);
    for (const { body } of await sent.select("body").execute()) expect(body).toContain("Dear Hugo Robles,");
  });

  test("a sale at another dealership tells nothing of a known customer: what was typed comes back [R11]", async () => {
    const known = newSale({
      email: "known@customer.example",
      name: "Ana Secreta",
      phone: "+34622333444",
      address: { street: "Calle Oculta 7", city: "Soria", postalCode: "42001", country: "ES" },
    });
    await staff.sales.post("/api/sales", known);
    const typed = newSale({ email: "known@customer.example" });
    const sold = await staff.otherSales.post("/api/sales", typed);
    expect(sold).toMatchObject({
      status: 201,
      body: { expediente: { customer: typed.customer }, notes: [] },
    });
    const url = `/api/expedientes/${sold.text("expediente.id")}`;
    await platform.runJobs();
    const seen = [
      sold.body,
      (await staff.otherSales.get(url)).body,
      (await staff.otherSales.get(`${url}/steps`)).body,
      (await staff.otherSales.get(`${url}/notifications`)).body,
      (await staff.otherSales.get("/api/expedientes?limit=100")).body,
    ];
    expect(JSON.stringify(seen)).not.toMatch(/Secreta|622333444|Oculta|Soria|42001/);
    // Nor by guessing in the list's search.
    expect(await staff.otherSales.get("/api/expedientes?search=Secreta")).toMatchObject({
      body: { expedientes: [] },
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
  const withCustomer = (more: object) => ({ ...sale, customer: { ...customer, ...more } });
  const withAddress = (more: object) => withCustomer({ address: { ...customer.address, ...more } });
  const wrongContacts: [string, object, string][] = [
    ["a telephone number that no one can have", withCustomer({ phone: "+34000000000" }), "phone"],
    ["the telephone number of an extension", withCustomer({ phone: "+34600111222 ext. 5" }), "phone"],
    ["an e-mail address without a dot in its domain", withCustomer({ email: "lucia@localhost" }), "email"],
    ["two dots in an e-mail address", withCustomer({ email: "lu..cia@customer.example" }), "email"],
    [
      "an invisible character in an e-mail address",
      withCustomer({ email: "lucia@customer.example\u202E" }),
      "email",
    ],
    ["a country that does not exist", withAddress({ country: "XX" }), "address.country"],
    ["the United Kingdom as UK", withAddress({ country: "UK" }), "address.country"],
    ["a Spanish postal code of four digits", withAddress({ postalCode: "8001" }), "address.postalCode"],
    ["a Spanish postal code beyond 52999", withAddress({ postalCode: "99999" }), "address.postalCode"],
    ["letters as a Spanish postal code [N9]", withAddress({ postalCode: "ABCDE" }), "address.postalCode"],
    ["a Spanish postal code in Portugal", withAddress({ country: "PT" }), "address.postalCode"],
  ];
  test.each(wrongContacts)("with %s [F19]", async (_what, body, field) => {
    const refused = await staff.sales.post("/api/sales", body);
    expect([refused.status, refused.body]).toEqual([
      400,
      expect.objectContaining({ errors: [expect.objectContaining({ field: `body.customer.${field}` })] }),
    ]);
  });

  test("a postal code of another form is refused with the form that is wanted [32]", async () => {
    const sale = withAddress({ country: "PL", postalCode: "31147" });
    expect(await staff.sales.post("/api/sales", sale)).toMatchObject({
      status: 400,
      body: { errors: [{ message: "31147 is no postal code of PL: its form is that of 12-345" }] },
    });
  });

  test("with an e-mail address longer than a mail server takes: 254 characters are the most [R12]", async () => {
    const email = (length: number) =>
      `${"l".repeat(64)}@${"d".repeat(60)}.${"e".repeat(60)}.${"f".repeat(length - 195)}.example`;
    expect(email(254)).toHaveLength(254);
    expect((await staff.sales.post("/api/sales", withCustomer({ email: email(254) }))).status).toBe(201);
    const tooLong = `${email(254)}${".example".repeat(8)}`;
    expect((await staff.sales.post("/api/sales", withCustomer({ email: tooLong }))).status).toBe(400);
    for (const length of [255, 257])
      expect(await staff.sales.post("/api/sales", withCustomer({ email: email(length) }))).toMatchObject({
        status: 400,
        body: { errors: [{ field: "body.customer.email" }] },
      });
  });

  test.each([
    ["zero-width spaces as a name", withCustomer({ name: "\u200B\u200B" }), "name"],
    ["line breaks as a name", withCustomer({ name: "\r\n" }), "name"],
    ["a mark of direction as a street", withAddress({ street: "\u202E" }), "address.street"],
    ["a filling character as a city", withAddress({ city: "\u3164" }), "address.city"],
  ])("with %s, which looks empty [R14]", async (_what, body, field) => {
    expect(await staff.sales.post("/api/sales", body)).toMatchObject({
      status: 400,
      body: { errors: [{ field: `body.customer.${field}` }] },
    });
  });

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

  test("an Idempotency-Key that is too long is not called missing; the longest is taken", async () => {
    const before = await countSales();
    const refused = await staff.sales.post("/api/sales", newSale(), "k".repeat(201));
    expect([refused.status, refused.text("code"), refused.text("detail")]).toEqual([
      400,
      "idempotencyKeyMissing",
      "the Idempotency-Key header is too long: send one of 1 to 200 characters, new for each intent",
    ]);
    expect((await staff.sales.post("/api/sales", newSale(), "")).text("detail")).toMatch(/header is empty:/);
    expect(await countSales()).toBe(before);
    expect((await staff.sales.post("/api/sales", newSale(), "k".repeat(200))).status).toBe(201);
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

describe("what the world's people and places look like is taken", () => {
  test.each([
    ["a slash in an e-mail address", { email: "a/b@customer.example" }, {}],
    ["an ampersand in an e-mail address", { email: "x&y@customer.example" }, {}],
    [
      "blanks around an e-mail address",
      { email: "  Blank@Customer.Example\n" },
      { email: "blank@customer.example" },
    ],
    ["a telephone number with blanks", { phone: " +34 600 111 222 " }, { phone: "+34600111222" }],
    ["a foreign telephone number", { phone: "+1 202-456-1111" }, { phone: "+12024561111" }],
    [
      "a country in lower case [32]",
      { address: { street: "Rua Augusta 1", city: "Lisboa", postalCode: "1100-048", country: " pt " } },
      { address: { street: "Rua Augusta 1", city: "Lisboa", postalCode: "1100-048", country: "PT" } },
    ],
    [
      "an address in Portugal",
      { address: { street: " Rua Augusta 1 ", city: "Lisboa", postalCode: "1100-048", country: "PT" } },
      { address: { street: "Rua Augusta 1", city: "Lisboa", postalCode: "1100-048", country: "PT" } },
    ],
    ["a name of one letter and a name of another script", { name: "Ó 李" }, {}],
  ])("%s [F19]", async (_what, more, stored) => {
    const sale = newSale(more);
    expect(await staff.sales.post("/api/sales", sale)).toMatchObject({
      status: 201,
      body: { expediente: { customer: { ...sale.customer, ...stored } } },
    });
  });

  test("a name that turns the writing around it is kept without that, and a line break in it is a blank [R14]", async () => {
    const sale = newSale({ name: "Lucía\u202E \u2066Ferrer\u2069\r\nBcc: all@x.example" });
    const sold = await staff.sales.post("/api/sales", sale);
    expect(sold.text("expediente.customer.name")).toBe("Lucía Ferrer Bcc: all@x.example");
    await platform.runJobs();
    const [letter] = platform.fakes.mail.to(sale.customer.email);
    expect(`${letter?.subject}${letter?.text}${letter?.html}`).not.toMatch(/[\u202A-\u202E\u2066-\u2069]/);
    expect(letter?.text).toContain("Dear Lucía Ferrer Bcc: all@x.example,\n");
  });
});

describe("a buyer is a person or a company", () => {
  const sell = (customer: object) => staff.sales.post("/api/sales", { ...newSale(), customer });
  const { name: _name, ...contact } = newSale().customer;
  const company = {
    ...contact,
    kind: "company",
    name: "Talleres Ribera S.A.",
    identityDocument: { kind: "cif", number: "A58818501" },
    contactPerson: "Ana Gil",
  };

  test("a person has a given and a family name, or a name in full", async () => {
    expect(await sell({ ...contact, givenName: " Lucía ", familyName: "Ferrer Soler" })).toMatchObject({
      status: 201,
      body: {
        expediente: {
          customer: {
            kind: "person",
            name: "Lucía Ferrer Soler",
            givenName: "Lucía",
            familyName: "Ferrer Soler",
            identityDocument: null,
            contactPerson: null,
          },
        },
      },
    });
  });

  test.each([
    ["DNI", { kind: "dni", number: "12345678-z" }, { kind: "dni", number: "12345678Z" }],
    ["NIE", { kind: "nie", number: "x 1234567 L" }, { kind: "nie", number: "X1234567L" }],
    [
      "passport",
      { kind: "passport", number: "c01x0006h", country: "DE" },
      { kind: "passport", number: "C01X0006H", country: "DE" },
    ],
  ])("a person's %s is kept in its written form", async (_what, identityDocument, kept) => {
    const sold = await sell({ ...contact, name: "Lucía Ferrer", identityDocument });
    expect(sold).toMatchObject({
      status: 201,
      body: { expediente: { customer: { identityDocument: kept } } },
    });
  });

  test("a company has a CIF and a person to speak to, whom the mails address", async () => {
    const email = "flota@ribera.example";
    const sold = await sell({ ...company, email });
    expect(sold).toMatchObject({
      status: 201,
      body: { expediente: { customer: { ...company, email, givenName: null, familyName: null } } },
    });
    await platform.runJobs();
    expect(platform.fakes.mail.to(email)[0]?.text).toContain("Dear Ana Gil,");
  });

  const person = { ...contact, name: "Lucía Ferrer" };
  test.each([
    [
      "a DNI with a wrong letter",
      { ...person, identityDocument: { kind: "dni", number: "12345678A" } },
      "identityDocument.number",
    ],
    [
      "an NIE with a wrong letter",
      { ...person, identityDocument: { kind: "nie", number: "X1234567A" } },
      "identityDocument.number",
    ],
    [
      "an NIE as DNI",
      { ...person, identityDocument: { kind: "dni", number: "X1234567L" } },
      "identityDocument.number",
    ],
    [
      "a passport of no country",
      { ...person, identityDocument: { kind: "passport", number: "C01X0006H", country: "XX" } },
      "identityDocument.country",
    ],
    [
      "a person's CIF",
      { ...person, identityDocument: { kind: "cif", number: "A58818501" } },
      "identityDocument.kind",
    ],
    ["a person's contact person", { ...person, contactPerson: "Ana Gil" }, "contactPerson"],
    ["a name in full and in parts", { ...person, givenName: "Lucía", familyName: "Ferrer" }, "name"],
    ["no name", contact, "name"],
    ["a given name alone", { ...contact, givenName: "Lucía" }, "familyName"],
    [
      "a CIF with a wrong digit",
      { ...company, identityDocument: { kind: "cif", number: "A58818502" } },
      "identityDocument.number",
    ],
    [
      "a CIF whose kind ends in a digit, with a letter",
      { ...company, identityDocument: { kind: "cif", number: "A5881850A" } },
      "identityDocument.number",
    ],
    [
      "a company with a DNI",
      { ...company, identityDocument: { kind: "dni", number: "12345678Z" } },
      "identityDocument.kind",
    ],
    ["a company without a CIF", { ...company, identityDocument: undefined }, "identityDocument"],
    ["a company without a contact person", { ...company, contactPerson: undefined }, "contactPerson"],
    ["a company with a given name", { ...company, givenName: "Ana" }, "givenName"],
  ])("%s is refused, and the field is named", async (_what, customer, field) => {
    const refused = await sell(customer);
    expect([refused.status, refused.body]).toEqual([
      400,
      expect.objectContaining({ errors: [expect.objectContaining({ field: `body.customer.${field}` })] }),
    ]);
  });
});

describe("correcting how a buyer is reached", () => {
  const address = { street: "Gran Vía 2", city: "Bilbao", postalCode: "48001", country: "ES" };

  test("staff correct address and telephone of one sale; the step says what was there before [F20]", async () => {
    const sale = newSale();
    const expedienteId = (await staff.sales.post("/api/sales", sale)).text("expediente.id");
    const url = `/api/expedientes/${expedienteId}`;
    expect(await staff.sales.post(`${url}/contact`, { address, phone: "+34 611 000 000" })).toMatchObject({
      status: 200,
      body: {
        expediente: { customer: { name: sale.customer.name, address, phone: "+34611000000" } },
        notes: [],
      },
    });
    expect((await staff.sales.get(`${url}/steps`)).body).toMatchObject({
      steps: [
        { event: "saleRegistered" },
        {
          event: "buyerCorrected",
          actor: "staff",
          detail: {
            phoneBefore: "+34600111222",
            phone: "+34611000000",
            addressBefore: "Calle Mayor 1, 28013 Madrid, ES",
            address: "Gran Vía 2, 48001 Bilbao, ES",
          },
        },
      ],
    });
    expect((await staff.support.post(`${url}/contact`, { phone: "+34600111222" })).status).toBe(200);
  });

  test("a correction that corrects nothing, or is none, is refused; another dealership's sale is not there [F20, 34]", async () => {
    const sale = newSale();
    const expedienteId = (await staff.sales.post("/api/sales", sale)).text("expediente.id");
    const url = `/api/expedientes/${expedienteId}/contact`;
    expect(await staff.sales.post(url, { address: sale.customer.address })).toMatchObject({
      status: 409,
      body: { code: "conflict", detail: "the sale has this address and this telephone number already" },
    });
    expect((await staff.sales.post(url, { phone: sale.customer.phone })).status).toBe(409);
    expect((await staff.sales.post(url, {})).status).toBe(400);
    expect((await staff.sales.post(url, { address: { ...address, postalCode: "8001" } })).status).toBe(400);
    expect((await staff.otherSales.post(url, { address })).status).toBe(404);
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

describe("reading expedientes [SY2]", () => {
  test("a customer reads their own, a dealership its own, nobody anybody else's [fault 30]", async () => {
    const sale = newSale();
    const expedienteId = (await staff.sales.post("/api/sales", sale)).text("expediente.id");
    const foreign = newSale();
    const foreignId = (await staff.otherSales.post("/api/sales", foreign)).text("expediente.id");
    await platform.runJobs();
    const customer = await signIn(
      platform,
      sale.customer.email,
      platform.fakes.mail.passwordOf(sale.customer.email),
    );
    // What support was told about this sale is not for its customer.
    await platform.db
      .transaction()
      .execute((tx) =>
        platform.context.publish(tx, "notificationDue", [{ row: "NX14", subject: { expedienteId } }]),
      );
    const recipientsFor = async (reader: typeof customer) => {
      const { body } = await reader.get(`/api/expedientes/${expedienteId}/notifications`);
      return new Set(JSON.stringify(body).match(/"recipient":"[a-z]+"/g));
    };
    expect(await recipientsFor(customer)).toEqual(new Set(['"recipient":"customer"']));
    expect(await recipientsFor(staff.support)).toEqual(
      new Set(['"recipient":"customer"', '"recipient":"support"']),
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
      body: { expedientes: [{ id: expedienteId }] },
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
          "expediente.id",
        ),
      );
    const search = encodeURIComponent(`100%_${marker}`);
    const first = await staff.sales.get(`/api/expedientes?search=${search}&limit=2&status=open`);
    expect(first.body).toMatchObject({
      expedientes: [{ id: ids[0] }, { id: ids[1] }],
      next: ids[1],
    });
    const rest = await staff.sales.get(`/api/expedientes?search=${search}&limit=2&after=${ids[1]}`);
    expect(rest.body).toMatchObject({ expedientes: [{ id: ids[2] }], next: null });
    expect((await staff.sales.get(`/api/expedientes?search=${search}&vehicleState=Delivered`)).body).toEqual({
      expedientes: [],
      next: null,
    });
    expect((await staff.sales.get("/api/expedientes?limit=101")).status).toBe(400);
    expect((await staff.sales.get("/api/expedientes?owner=me")).status).toBe(400);
  });

  test("who waits for the next step is woken when it is committed, and told nothing happened after the wait", async () => {
    const sold = await staff.sales.post("/api/sales", newSale());
    const expedienteId = sold.text("expediente.id");
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
