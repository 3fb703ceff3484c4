import { partnerClient } from "@caas/simulator/stand-ins/client.ts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as z from "zod";
import type { NotificationSubject } from "../../lifecycle/events.ts";
import { type NotificationRowId, notificationRows } from "../../rules/notification-rows.ts";
import { newId } from "../../store/ids.ts";
import {
  registered,
  startTestSales,
  type TestSales,
  type WrittenSale,
} from "../../testing/fixtures/sales.ts";
import { mailAttempts } from "./jobs.ts";

let platform: TestSales;
let inbox: ReturnType<typeof partnerClient>;
let car: WrittenSale;

beforeAll(async () => {
  platform = await startTestSales({ name: "notifications", standIns: ["inbox"] });
  inbox = partnerClient(platform.standIn("inbox").url);
});
beforeEach(async () => {
  car = await platform.writeSale(registered);
});
afterEach(() => inbox("DELETE", "/_control/faults"));
afterAll(() => platform?.close());

const mailsSchema = z.object({
  messages: z.array(
    z.object({
      to: z.array(z.string()),
      from: z.string(),
      subject: z.string(),
      text: z.string(),
      html: z.string().nullable(),
      headers: z.record(z.string(), z.string()),
    }),
  ),
});

async function mailsTo(address: string) {
  const { body } = await inbox("GET", `/messages?to=${encodeURIComponent(address)}`);
  return mailsSchema.parse(body).messages;
}

async function tell(
  row: NotificationRowId,
  subject: NotificationSubject = { expedienteId: car.expedienteId },
) {
  await platform.inTransaction((tx) => platform.context.publish(tx, "notificationDue", [{ row, subject }]));
}

function rowsOf(expedienteId = car.expedienteId) {
  return platform.db
    .selectFrom("notifications")
    .where("expediente_id", "=", expedienteId)
    .orderBy("id")
    .selectAll()
    .execute();
}

/** An activation of a service in this car, as it stands when its attempts have ended. */
async function givenUpActivation(): Promise<string> {
  const service = await platform.db
    .selectFrom("catalog_services")
    .where("code", "=", "heatedSeats")
    .select("id")
    .executeTakeFirstOrThrow();
  const id = newId();
  await platform.db
    .insertInto("activations")
    .values({
      id,
      vehicle_id: car.vehicleId,
      customer_id: car.customerId,
      service_id: service.id,
      state: "CustomerNotified",
      price_cents: 1_499,
      currency: "EUR",
      duration_days: 30,
      payment_method: "pm_card_visa",
      attempts_used: 5,
      attempts_allowed: 5,
      created_at: platform.clock.now(),
    })
    .execute();
  return id;
}

const mailed = (Object.keys(notificationRows) as NotificationRowId[]).filter((row) => row !== "NT1"); // its own keys

describe("mails about one sale", () => {
  const subjects = async (sale = car) => (await mailsTo(sale.customerEmail)).map(({ subject }) => subject);
  const greylist = (count: number) =>
    inbox("PUT", "/_control/faults", { body: { failNext: { count, status: 451 } } });
  const emails = async (sale = car) =>
    (await rowsOf(sale.expedienteId))
      .flatMap(({ channel, row_id: row, status }) => (channel === "email" ? [`${row} ${status}`] : []))
      .join(", ");

  test("leave in the order in which things happened, also when the server takes the first one later [N7]", async () => {
    await tell("NT2");
    await tell("NT4");
    await tell("NT6");
    await greylist(3);
    expect(await platform.runJobs()).toBe(3);
    expect(await subjects()).toEqual([]);
    await tell("NT7");
    await platform.runJobs();
    expect(await platform.retryJobs()).toBe(0);
    expect((await subjects()).map((subject) => subject.split(":")[0]?.split(" (")[0])).toEqual([
      "Your car is ordered",
      "Your car is ready at the factory",
      "Your car is registered",
      "Your car is on its way",
    ]);
    expect(await emails()).toBe("NT2 accepted, NT4 accepted, NT6 accepted, NT7 accepted");
  });

  test("a milestone that a later one has overtaken is not mailed; each of them is while the mails keep up [N7]", async () => {
    await tell("NT3");
    await platform.runJobs();
    await tell("NT3");
    await platform.runJobs();
    expect(await subjects()).toHaveLength(2);
    await greylist(2);
    await tell("NT3");
    await platform.runJobs();
    await tell("NT3");
    await tell("NT4");
    await platform.runJobs();
    await platform.retryJobs();
    expect(await emails()).toBe("NT3 accepted, NT3 accepted, NT3 overtaken, NT3 overtaken, NT4 accepted");
    expect((await subjects()).slice(2)).toEqual([expect.stringMatching(/ready/)]);
    const { body } = await platform.staff.sales.get(`/api/expedientes/${car.expedienteId}/notifications`);
    expect(JSON.stringify(body)).toContain('"status":"overtaken"');
  });

  test("a message about money is mailed though later ones follow [N7]", async () => {
    await greylist(1);
    await tell("NT5");
    await platform.runJobs();
    await tell("NT4");
    await platform.retryJobs();
    expect(await emails()).toBe("NT5 accepted, NT4 accepted");
  });

  test("one that is refused for good holds up none, and no sale waits for another's [N7]", async () => {
    const other = await platform.writeSale(registered);
    await greylist(1);
    await tell("NT2");
    await platform.runJobs();
    await inbox("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 550 } } });
    await tell("NT6", { expedienteId: other.expedienteId });
    await platform.runJobs();
    await tell("NT7", { expedienteId: other.expedienteId });
    await platform.runJobs();
    expect(await emails(other)).toBe("NT6 failed, NT7 accepted");
    expect(await emails()).toBe("NT2 queued");
    await platform.retryJobs();
    expect(await emails()).toBe("NT2 accepted");
  });
});

describe("the router", () => {
  test.each(mailed)("%s goes to its recipient on exactly its channels", async (row) => {
    const activationId = await givenUpActivation();
    await tell(row, { expedienteId: car.expedienteId, vehicleId: car.vehicleId, activationId });
    const expected = notificationRows[row];
    const written = await rowsOf();
    expect(written.map((one) => one.channel).sort()).toEqual([...expected.channels].sort());
    for (const one of written)
      expect(one).toMatchObject({
        row_id: row,
        event: expected.event,
        recipient: expected.recipient,
        priority: expected.priority,
        status: one.channel === "email" ? "queued" : "channelNotConfigured",
        activation_id: activationId,
        vehicle_id: car.vehicleId,
        customer_id: car.customerId,
        body: expect.stringMatching(/\S/),
      });
    await platform.runJobs();
    for (const one of (await rowsOf()).filter((sent) => sent.channel === "email"))
      expect(one.status).toBe("accepted");
  });

  test("mail to the customer arrives with text, HTML, sender and a Message-ID of its own", async () => {
    await tell("NT6");
    expect(await platform.runJobs()).toBe(0);
    const [row] = await rowsOf();
    const [mail, ...more] = await mailsTo(car.customerEmail);
    expect(more).toEqual([]);
    expect(mail?.from).toBe("no-reply@caas.example");
    expect(mail?.headers["message-id"]).toBe(`<${row?.id}@caas.example>`);
    expect(row).toMatchObject({
      status: "accepted",
      provider_id: `<${row?.id}@caas.example>`,
      sent_at: platform.clock.now(),
    });
    expect(mail?.text.trim()).toBe(row?.body?.trim());
    expect(mail?.html).toContain("<table");
  });

  test("support is mailed at its own address, the customer is not", async () => {
    const activationId = await givenUpActivation();
    await tell("NT12", { activationId });
    await platform.runJobs();
    const [mail] = (await mailsTo(platform.config.SUPPORT_EMAIL)).filter((one) =>
      one.text.includes(activationId),
    );
    expect(mail?.subject).toBe(`Activation given up: Heated seats in ${car.vin}`);
    expect(await mailsTo(car.customerEmail)).toEqual([]);
  });

  test("a dealership's task is mailed to its sales staff, a task of support to nobody there", async () => {
    const { email } = await platform.db
      .selectFrom("auth_users")
      .where("id", "=", platform.staff.sales.userId)
      .select("email")
      .executeTakeFirstOrThrow();
    const about = { detail: { reason: "nobody answers" }, subject: { expedienteId: car.expedienteId } };
    await platform.inTransaction((tx) =>
      platform.context.publish(tx, "taskNeeded", [
        { kind: "transportRefused", facts: { reference: car.reference }, ...about },
        { kind: "activationFailed", facts: { service: car.reference }, ...about },
      ]),
    );
    expect(await platform.runJobs()).toBe(0);
    const mails = (await mailsTo(email)).filter(({ subject }) => subject.includes(car.reference));
    expect(mails.map(({ subject }) => subject)).toEqual([
      `To do: The carrier refused transport ${car.reference}`,
    ]);
    expect(mails[0]?.text).toContain("- reason: nobody answers");
    expect(await mailsTo(car.customerEmail)).toEqual([]);
    // Not shown among the customer's own messages.
    expect(await rowsOf()).toEqual([]);
  });

  test("an activation's message goes to who bought the service, not to who bought the car", async () => {
    const activationId = await givenUpActivation();
    const other = await platform.writeSale(registered);
    await platform.db
      .updateTable("activations")
      .set({ customer_id: other.customerId })
      .where("id", "=", activationId)
      .execute();
    await tell("NT11", { activationId, vehicleId: car.vehicleId });
    await platform.runJobs();
    expect(await mailsTo(other.customerEmail)).toHaveLength(1);
    expect(await mailsTo(car.customerEmail)).toEqual([]);
  });

  test("a message written in a transaction that is undone is never sent", async () => {
    await expect(
      platform.inTransaction(async (tx) => {
        await platform.context.publish(tx, "notificationDue", [
          {
            row: "NT6",
            subject: { expedienteId: car.expedienteId },
          },
        ]);
        throw new Error("undone");
      }),
    ).rejects.toThrow("undone");
    await platform.runJobs();
    expect(await rowsOf()).toEqual([]);
    expect(await mailsTo(car.customerEmail)).toEqual([]);
  });

  test("NT1 is not taken by this way: its text would hold the password", async () => {
    await expect(tell("NT1")).rejects.toThrow("sendCredentials");
  });
});

describe("handing mail to the server", () => {
  const accepted = () =>
    platform.published.filter(
      (one) => one.name === "notificationAccepted" && one.event.subject.expedienteId === car.expedienteId,
    );

  test("the platform hears that the provider took it, once", async () => {
    await tell("NT4");
    await platform.runJobs();
    const [row] = (await rowsOf()).filter((one) => one.channel === "email");
    expect(accepted()).toEqual([
      {
        name: "notificationAccepted",
        event: {
          notificationId: row?.id,
          subject: { expedienteId: car.expedienteId, vehicleId: car.vehicleId },
        },
      },
    ]);
  });

  test("a server that is busy is asked again, and the reason is kept meanwhile", async () => {
    await inbox("PUT", "/_control/faults", { body: { failNext: { count: 2, status: 451 } } });
    await tell("NT6");
    expect(await platform.runJobs()).toBe(1);
    expect((await rowsOf())[0]).toMatchObject({ status: "queued", last_error: expect.stringMatching(/451/) });
    expect(accepted()).toEqual([]);
    expect(await platform.retryJobs()).toBe(1);
    expect(await platform.retryJobs()).toBe(0);
    expect((await rowsOf())[0]).toMatchObject({ status: "accepted", last_error: null });
    expect(await mailsTo(car.customerEmail)).toHaveLength(1);
  });

  test("a refused address is not tried again; the dealership is to reach the customer otherwise", async () => {
    await inbox("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 550 } } });
    await tell("NT6");
    expect(await platform.runJobs()).toBe(0);
    expect((await rowsOf())[0]).toMatchObject({ status: "failed", last_error: expect.stringMatching(/550/) });
    expect(await platform.retryJobs()).toBe(0);
    const tasks = await platform.db
      .selectFrom("tasks")
      .where("expediente_id", "=", car.expedienteId)
      .select(["kind", "team"])
      .execute();
    expect(tasks).toEqual([{ kind: "mailUndeliverable", team: "dealership" }]);
  });

  test("when the last try fails too, the message is failed and a task is there", async () => {
    await inbox("PUT", "/_control/faults", { body: { failNext: { count: 1_000, status: 451 } } });
    await tell("NT6");
    expect(await platform.runJobs()).toBe(1);
    for (let attempt = 2; attempt < mailAttempts; attempt += 1) {
      expect(await platform.retryJobs()).toBe(1);
      expect((await rowsOf())[0]?.status).toBe("queued");
    }
    await platform.retryJobs();
    expect((await rowsOf())[0]?.status).toBe("failed");
    const tasks = await platform.db
      .selectFrom("tasks")
      .where("expediente_id", "=", car.expedienteId)
      .select("kind")
      .execute();
    expect(tasks).toEqual([{ kind: "mailUndeliverable" }]);
  });
});

describe("the mail with the credentials", () => {
  const letter = { name: "Lucía Ferrer", username: "lucia@customer.example", expedienteReference: "EXP-1" };
  const password = "caas-0123456789abcdefghijklmnopqrstuv";

  test("user name and password are in the mail and nowhere in the database [NT1, DA3]", async () => {
    const to = "nt1.first@customer.example";
    const sent = await platform.notifications.sendCredentials({ ...letter, to, password });
    const [mail] = await mailsTo(to);
    expect(sent).toEqual({ kind: "accepted", providerId: mail?.headers["message-id"] });
    expect(mail?.subject).toBe("Your access to Car-as-a-Service (EXP-1)");
    expect(mail?.text).toContain(`- Password: ${password}`);
    expect(mail?.html).toContain(password);
    const stored = await platform.db
      .selectFrom("notifications")
      .where("body", "like", `%${password}%`)
      .selectAll()
      .execute();
    expect(stored).toEqual([]);
  });

  test("a customer with an account is told which mail has its password [N5]", async () => {
    const to = "nt1.known@customer.example";
    await platform.notifications.sendCredentials({ ...letter, to, password: null, mailedFor: "EXP-0" });
    const [mail] = await mailsTo(to);
    expect(mail?.text).toContain("the one in our mail about your purchase EXP-0, unless you have changed it");
    expect(mail?.text).not.toContain("caas-");
  });

  test("a repeated mail is another mail, because it carries another password", async () => {
    const to = "nt1.twice@customer.example";
    await platform.notifications.sendCredentials({ ...letter, to, password });
    await platform.notifications.sendCredentials({ ...letter, to, password: `${password.slice(0, -1)}0` });
    const ids = (await mailsTo(to)).map((mail) => mail.headers["message-id"]);
    expect(new Set(ids).size).toBe(2);
  });

  test("a refusal for good and one for now are told apart; neither says the password [R12]", async () => {
    const to = "nt1.gone@customer.example";
    await inbox("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 550 } } });
    const refused = await platform.notifications.sendCredentials({ ...letter, to, password });
    expect(refused).toEqual({ kind: "refused", reason: expect.stringMatching(/550/) });
    expect(JSON.stringify(refused)).not.toContain(password);
    await inbox("PUT", "/_control/faults", { body: { failNext: { count: 1, status: 451 } } });
    const sent = platform.notifications.sendCredentials({ ...letter, to, password });
    expect(await sent).toEqual({ kind: "unavailable", reason: expect.stringMatching(/^(?!.*caas-).*451/) });
  });

  test.each([
    ["an address that the server refuses with 501", `${"l".repeat(300)}@customer.example`],
    ["an address that cannot be written into a command", "lucia@customer.example>\r\nRCPT TO:<all@x.example"],
  ])("%s is refused for good [R12]", async (_what, to) => {
    const refused = await platform.notifications.sendCredentials({ ...letter, to, password });
    expect(refused).toMatchObject({ kind: "refused" });
  });
});
