import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTransport, type Transporter } from "nodemailer";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import * as z from "zod";
import { type PartnerClient, partnerClient } from "../client.ts";
import { type RunningInbox, startInbox } from "./server.ts";

const folder = mkdtempSync(join(tmpdir(), "inbox-"));
let storeNumber = 0;
let now = new Date("2026-11-02T09:00:00Z");
let inbox: RunningInbox;
let get: (path: string) => ReturnType<PartnerClient>;
let mail: Transporter;

beforeEach(async () => {
  storeNumber += 1;
  await start();
});
afterEach(async () => {
  mail.close();
  await inbox.close();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function start() {
  const storePath = join(folder, `${storeNumber}.db`);
  inbox = await startInbox({ port: 0, smtpPort: 0, storePath, clock: { now: () => now } });
  const client = partnerClient(inbox.url);
  get = (path) => client("GET", path);
  mail = createTransport({ url: inbox.smtpUrl, socketTimeout: 300 });
}

const send = (to: string | string[], subject: string, text = "Hola", more: object = {}) =>
  mail.sendMail({ from: "CaaS <no-reply@caas.example>", to, subject, text, ...more });
const listed = z.object({ messages: z.array(z.looseObject({ id: z.string(), subject: z.string() })) });
const page = async (path: string) => (await fetch(`${inbox.url}${path}`)).text();
const subjects = async (query = "") =>
  listed.parse((await get(`/messages${query}`)).body).messages.map(({ subject }) => subject);

test("a mail sent by SMTP is read with its text, page, headers and recipients", async () => {
  await send("Ana@Example.org", "Sus credenciales: ñ", "Usuario: ana", {
    html: "<p>Usuario: <b>ana</b></p>",
    cc: "luis@example.org",
    headers: { "Auto-Submitted": "auto-generated" },
  });
  const { body } = await get("/messages?to=ana@example.org");
  expect(body).toMatchObject({
    messages: [
      {
        id: "00000001",
        to: ["ana@example.org", "luis@example.org"],
        from: "no-reply@caas.example",
        subject: "Sus credenciales: ñ",
        text: "Usuario: ana",
        html: "<p>Usuario: <b>ana</b></p>",
        headers: { "auto-submitted": "auto-generated" },
        receivedAt: "2026-11-02T09:00:00.000Z",
      },
    ],
  });
  expect((await get("/messages/00000001")).body).toEqual(
    z.object({ messages: z.array(z.unknown()) }).parse(body).messages[0],
  );
  expect((await get("/messages/00000002")).status).toBe(404);
});

test("mails are found by recipient, part of the subject, and what they came after", async () => {
  await send("ana@example.org", "Pedido hecho");
  now = new Date("2026-11-02T10:00:00Z");
  await send("luis@example.org", "Pedido hecho");
  await send("ana@example.org", "Coche listo");
  expect(await subjects()).toEqual(["Pedido hecho", "Pedido hecho", "Coche listo"]);
  expect(await subjects("?to=ana@example.org")).toEqual(["Pedido hecho", "Coche listo"]);
  expect(await subjects("?subject=LISTO")).toEqual(["Coche listo"]);
  expect(await subjects("?after=00000002")).toEqual(["Coche listo"]);
  expect(await subjects("?after=2026-11-02T09:00:00Z")).toEqual(["Pedido hecho", "Coche listo"]);
  expect(await subjects("?to=nobody@example.org")).toEqual([]);
  expect((await get("/messages?after=yesterday")).status).toBe(400);
});

test("a request for the next mail gets it when it comes, and is told when none came", async () => {
  const waiting = get("/messages/next?to=ana@example.org&subject=listo");
  await send("ana@example.org", "Pedido hecho");
  await send("luis@example.org", "Coche listo");
  await send("ana@example.org", "Coche listo");
  expect((await waiting).body).toMatchObject({ id: "00000003" });
  expect((await get("/messages/next?to=ana@example.org")).body).toMatchObject({ id: "00000001" });
  expect((await get("/messages/next?to=ana@example.org&after=00000003&timeoutMs=0")).status).toBe(404);
});

test("the page shows mails, newest first, and nothing of them as markup; and says when there are none [N19]", async () => {
  expect(await page("/")).toContain("No mail yet");
  await send("ana@example.org", "First");
  await send("ana@example.org", "<script>alert(1)</script>", "<img src=x>");
  const shown = await page("/");
  expect(shown).toContain("2 mails");
  expect(shown).not.toMatch(/<script|<img/);
  expect(shown.indexOf("&lt;script&gt;")).toBeGreaterThan(0);
  expect(shown.indexOf("&lt;script&gt;")).toBeLessThan(shown.indexOf("First"));
});

test("a mailbox of hundreds is read by person, by search and page by page [N19]", async () => {
  // So many in a row: the impatience that the faults are tried with would end some on a busy machine.
  const patient = createTransport({ url: inbox.smtpUrl });
  for (let number = 1; number <= 120; number += 1)
    await patient.sendMail({
      from: "CaaS <no-reply@caas.example>",
      to: number % 40 === 0 ? "ana@example.org" : `p${number}@example.org`,
      subject: `Mail ${number}.`,
      text: "Hola",
    });
  const everybody = await page("/");
  expect(everybody).toContain("120 mails");
  expect(everybody.match(/href="\/mails\//g)).toHaveLength(50);
  expect(everybody).toContain("Mail 120.");
  expect(everybody).not.toContain("Mail 70.");
  expect(everybody).toMatch(/Page 1 of 3 .*href="\/\?page=2"/);
  expect(await page("/?page=3")).toContain("Mail 1.");
  const ana = await page("/?to=Ana@example.org");
  expect(ana).toContain("Mailbox of ana@example.org: 3 mails");
  expect(ana).not.toContain("Mail 119.");
  const found = await page("/?q=MAIL+77.");
  expect(found).toContain("1 mail<");
  expect(found).toContain("Mail 77.");
  expect(await page("/?q=nothing+of+the+kind")).toContain("No mail fits");
  // To the minute, not to the millisecond.
  expect(everybody).toMatch(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/);
  expect(everybody).not.toContain(".000Z");
});

test("a mail is shown as it was sent, in a frame where nothing runs and nothing is fetched [N19]", async () => {
  const html = '<p style="color:teal">Hola</p><script>alert(1)</script><img src="https://example.org/x.png">';
  await send("ana@example.org", "Con <formato>", "Hola", { html });
  const mailPage = await page("/mails/00000001");
  expect(mailPage).toContain(
    '<iframe sandbox title="The mail as its sender made it" src="/messages/00000001/html">',
  );
  expect(mailPage).not.toMatch(/<script|<img|<formato>/);
  const framed = await fetch(`${inbox.url}/messages/00000001/html`);
  expect(await framed.text()).toContain('<p style="color:teal">Hola</p>');
  const policy = framed.headers.get("content-security-policy") ?? "";
  expect(policy).toMatch(/^sandbox; default-src 'none'/);
  expect(policy).not.toMatch(/allow-scripts|script-src|https?:/);
  await send("ana@example.org", "Sin formato");
  expect(await page("/mails/00000002")).not.toContain("<iframe");
  expect((await fetch(`${inbox.url}/messages/00000002/html`)).status).toBe(404);
  expect((await fetch(`${inbox.url}/mails/99`)).status).toBe(404);
});

test("the knobs refuse a mail for now or forever, or leave the sender without an answer", async () => {
  const setFaults = (body: unknown) => partnerClient(inbox.url)("PUT", "/_control/faults", { body });
  await setFaults({ failNext: { count: 1, status: 451 } });
  await expect(send("ana@example.org", "now")).rejects.toMatchObject({ responseCode: 451 });
  await setFaults({ failNext: { count: 1, status: 550 } });
  await expect(send("ana@example.org", "ever")).rejects.toMatchObject({ responseCode: 550 });
  await setFaults({ timeOutBeforeDoingNext: { count: 1 } });
  await expect(send("ana@example.org", "silent")).rejects.toMatchObject({ code: "ETIMEDOUT" });
  expect(await subjects()).toEqual([]);
  await setFaults({ timeOutAfterDoingNext: { count: 1 } });
  await expect(send("ana@example.org", "kept")).rejects.toMatchObject({ code: "ETIMEDOUT" });
  expect(await subjects()).toEqual(["kept"]);
  await setFaults({ latencyMs: 60 });
  const startedAt = performance.now();
  await send("ana@example.org", "slow");
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(58);
  expect(await subjects()).toEqual(["kept", "slow"]);
});

test("after a restart the mails are still there", async () => {
  await send("ana@example.org", "Pedido hecho");
  mail.close();
  await inbox.close();
  await start();
  await send("ana@example.org", "Coche listo");
  expect(await subjects()).toEqual(["Pedido hecho", "Coche listo"]);
  expect((await get("/messages/00000002")).body).toMatchObject({ subject: "Coche listo" });
});

test("it closes although someone waits for a mail and holds an SMTP connection", async () => {
  const pooled = createTransport({ url: inbox.smtpUrl, pool: true });
  await pooled.verify();
  await pooled.sendMail({ from: "a@caas.example", to: "ana@example.org", subject: "x", text: "x" });
  const waiting = get("/messages/next?subject=never").catch((error: unknown) => error);
  await inbox.close();
  await waiting;
  pooled.close();
});
