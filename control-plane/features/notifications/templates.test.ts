import { describe, expect, test } from "vitest";
import { type NotificationRowId, notificationRows } from "../../rules/notification-rows.ts";
import { loadTemplates } from "./templates.ts";
import type { View } from "./view.ts";

const templates = loadTemplates("Europe/Madrid");
const rows = Object.keys(notificationRows) as NotificationRowId[]; // the table's own keys

const full: View = {
  recipient: { name: "Lucía Ferrer" },
  purchase: { reference: "EXP-2026-000001", plan: "Ciudad", currency: "EUR", outstandingCents: 3_029_000 },
  vehicle: { vin: "WCAZZZ1B0TA000001", plate: "1234 BCD" },
  registration: { authorityId: "reg_000001", plate: "1234 BCD", registeredOn: "2026-03-01" },
  order: {
    factoryOrderId: "fo_000001",
    milestone: "paint",
    progressPercent: 40,
    eta: new Date("2026-04-10T12:00:00Z"),
  },
  transport: { date: "2026-03-05", driver: "Marta Ibáñez" },
  payment: {
    kind: "final",
    amountCents: 3_029_000,
    currency: "EUR",
    at: new Date("2026-02-28T10:00:00Z"),
  },
  service: { name: "Heated seats", priceCents: 1_499, currency: "EUR", durationDays: 30 },
  activation: { id: "0198c0de-0000-7000-8000-000000000001", attemptsUsed: 5, endReason: null },
  detail: { reference: "EXP-2026-000001", nextDueOn: "2026-05-01" },
  credentials: { username: "lucia@customer.example", password: "caas-secret", mailedFor: null },
  task: {
    title: "Call the carrier",
    toDo: "Call them.",
    closesWith: null,
    facts: [{ label: "reference", value: "TRA-1" }],
  },
};

/** The text of a row's message without the parts that vary. */
const render = (row: NotificationRowId, view: Partial<View> = {}) =>
  templates.render(row.toLowerCase(), { ...full, ...view });

describe("every row has content", () => {
  test.each(rows)("%s has a template that leaves no gap, as text and as HTML", (row) => {
    const message = render(row);
    expect(message.subject).toMatch(/\S/);
    expect(message.subject).not.toMatch(/[{}\n]|undefined|null|\(\)|in $/);
    expect(message.body).not.toMatch(/[{}]|undefined|null|NaN|\[object/);
    expect(message.body).not.toMatch(/^- [^:]+:\s*$/m);
    expect(message.body).not.toMatch(/\n{3}/);
    const html = templates.toHtml(message);
    expect(html).toMatch(/^<!doctype html>/);
    expect(html).not.toMatch(/\{\{|\{%|undefined/);
    // Nothing is said in one part and left out of the other.
    for (const line of message.body.split("\n").filter((text) => text.startsWith("- ")))
      expect(html).toContain(`>${line.slice(2, line.indexOf(": "))}</td>`);
  });

  test("no template is there that nobody sends", () => {
    const sent = new Set([...rows.map((row) => row.toLowerCase()), "task"]);
    expect(templates.names.filter((name) => !sent.has(name))).toEqual([]);
  });

  test("the day of an instant is the dealership's; a calendar day stays itself [F21]", () => {
    const at = new Date("2026-07-01T22:30:00.000Z");
    const view = { ...full, payment: { kind: "final", amountCents: 1, currency: "EUR", at } };
    const canary = loadTemplates("Atlantic/Canary");
    expect(templates.render("nt5", view).body).toContain("- Date: 2 July 2026");
    expect(canary.render("nt5", view).body).toContain("- Date: 1 July 2026");
    for (const one of [templates, canary])
      expect(one.render("nt7", full).body).toContain("- Delivery: 5 March 2026");
  });

  test("a mail about a payment to be confirmed writes the end as the other mails write days, with the time [23]", () => {
    const detail = { confirmBy: "2026-11-30T01:41:34.370Z" };
    for (const row of ["nx9", "nx10"])
      expect(templates.render(row, { ...full, detail }).body).toContain(
        "- Until: 30 November 2026 at 02:41 CET\n",
      );
    const canary = loadTemplates("Atlantic/Canary");
    expect(canary.render("nx9", { ...full, detail }).body).toContain("30 November 2026 at 01:41");
  });

  test("characters that turn the writing around them are in no subject and no text [R14]", () => {
    const name = "Lucía \u202EgpJ\u2066.exe\r\nBcc: all@x.example";
    const { subject, body } = render("NT7", {
      recipient: { name },
      transport: { date: "2026-03-05", driver: name },
    });
    expect(`${subject}${body}`).not.toMatch(/[\u202A-\u202E\u2066-\u2069\r]/);
    expect(body).toContain("- Driver: Lucía gpJ.exe Bcc: all@x.example\n");
  });

  test("rows whose facts are not known yet leave the lines out", () => {
    const early = render("NT3", {
      order: { factoryOrderId: null, milestone: null, progressPercent: 0, eta: null },
      vehicle: { vin: null, plate: null },
    });
    expect(early.body).toContain("begun to build");
    expect(early.body).toContain("- Progress: 0 %");
    expect(early.body).not.toMatch(/VIN|Expected/);
  });
});

describe("what the messages say", () => {
  test.each([
    [{}, "NT1", ["User name: lucia@customer.example", "Password: caas-secret", "pay the reservation"]],
    [
      { credentials: { username: "a@b.example", password: null, mailedFor: "EXP-7" } },
      "NT1",
      ["the one in our mail about your purchase EXP-7"],
    ],
    [{}, "NT2", ["fo_000001", "Ciudad"]],
    [{}, "NT3", ["is painted", "40 %", "10 April 2026"]],
    [
      { order: { factoryOrderId: "fo_1", milestone: "windows", progressPercent: 60, eta: null } },
      "NT3",
      ["goes on", "60 %"],
    ],
    [{}, "NT4", ["€30,290.00", "WCAZZZ1B0TA000001", "reservation is lost"]],
    [{}, "NT5", ["€30,290.00", "28 February 2026", "being registered"]],
    [
      { payment: { kind: "service", amountCents: 1_499, currency: "EUR", at: new Date(0) } },
      "NT5",
      ["€14.99", "Heated seats"],
    ],
    [{}, "NT6", ["1234 BCD", "reg_000001", "1 March 2026"]],
    [{}, "NT7", ["5 March 2026", "Marta Ibáñez"]],
    [{}, "NT8", ["nobody at your address"]],
    [{}, "NT10", ["Heated seats", "30 days", "€14.99"]],
    [{}, "NT11", ["5 times", "not charged", "€14.99"]],
    [{ activation: { id: "a", attemptsUsed: 0, endReason: "holdExpired" } }, "NT11", ["reached in time"]],
    [{}, "NT12", ["retries exhausted", "Attempts: 5"]],
    [{}, "NT13", ["1 May 2026"]],
    [{}, "NT14", ["stays active"]],
    [{}, "NT15", ["overdue", "Nothing was charged"]],
    [
      { activation: { id: "a", attemptsUsed: 0, endReason: "maintenanceUnavailable" } },
      "NT15",
      ["could not reach the workshops"],
    ],
  ] as const)("message %# of the table says what it is about", (view, row, phrases) => {
    const { subject, body } = render(row, view);
    for (const phrase of phrases) expect(`${subject}\n${body}`).toContain(phrase);
  });
});

describe("what people typed in stays what it is", () => {
  const hostile = '<img src=x onerror="alert(1)">\n\n- Amount: €0.00\r\nBcc: all@example.com {{ purchase }}';

  test.each(rows.filter((row) => notificationRows[row].recipient === "customer"))(
    "%s: a customer's name is neither markup, nor a line, nor a template of its own",
    (row) => {
      const message = render(row, { recipient: { name: hostile } });
      const html = templates.toHtml(message);
      expect(message.subject).not.toContain("\n");
      expect(message.body).not.toMatch(/^- Amount: €0\.00/m);
      expect(message.body).not.toMatch(/^Bcc/m);
      expect(message.body).toContain("{{ purchase }}");
      expect(html).not.toContain("<img");
      expect(html).toContain("&lt;img src=x onerror=&#34;alert(1)&#34;&gt;");
    },
  );

  test("a name in a subject or a fact is escaped too", () => {
    const html = templates.toHtml({
      subject: "A <b>subject</b>",
      body: "Dear <i>you</i>,\n\n- <u>Label</u>: <s>value</s>\n",
    });
    expect(html).not.toMatch(/<[bius]>/);
    expect(html).toContain("A &lt;b&gt;subject&lt;/b&gt;");
    expect(html).toContain("&lt;s&gt;value&lt;/s&gt;");
  });
});
