import * as z from "zod";
import { createBell } from "../shared/bell.ts";
import { hangUpSignal, refuse, send } from "../shared/http.ts";
import { pageHeaders } from "../shared/page.ts";
import { openPartner, type PartnerOptions, type RunningPartner } from "../shared/partner.ts";
import { type Message, openMailbox } from "./messages.ts";
import { renderInbox, renderMail } from "./page.ts";
import { startSmtp } from "./smtp.ts";

/** `smtpPort` 0: any free one. */
export type InboxOptions = Omit<PartnerOptions, "apiKey"> & { smtpPort: number };

export type RunningInbox = RunningPartner & { /** As `smtp://127.0.0.1:2525`. */ smtpUrl: string };

const filterSchema = z.strictObject({
  to: z.string().min(1).max(320).optional(),
  subject: z.string().min(1).max(500).optional(),
  after: z
    .union([z.string().regex(/^\d{1,12}$/), z.iso.datetime()], "must be a message's id or an ISO instant")
    .optional(),
});

/** What the page asks for; a form sends an empty search as an empty text. */
const lookSchema = z.strictObject({
  to: z.string().min(1).max(320).toLowerCase().optional(),
  q: z
    .string()
    .max(500)
    .transform((text) => (text.trim() === "" ? undefined : text.trim()))
    .optional(),
  page: z.coerce.number().int().min(1).max(1_000_000).default(1),
});
const idSchema = z.object({ id: z.string().max(20) });

/** A mail's own markup: shown, never run, and nothing is fetched for it. */
const mailPolicy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:";

/** For a person at a terminal: without markup and headers. */
function asText({ receivedAt, subject, text }: Message): string {
  return `${receivedAt}  ${subject}\n\n${text.trim()}\n`;
}

/** The mailbox of all customers: takes the platform's mails by SMTP and shows them (SY13). */
export async function startInbox(options: InboxOptions): Promise<RunningInbox> {
  const partner = openPartner("inbox", options);
  const { app, host, faults } = partner;
  const bell = createBell();
  const mailbox = openMailbox(partner.store, partner.clock);
  /** Requests that wait for a mail to come. */
  let waiting = 0;
  // Every request finds everything that has come in.
  app.addHook("onRequest", () => mailbox.open());
  const noSuchMail = (id: string) => refuse(404, "no_such_mail", `there is no mail ${id}`);
  app.get("/", { schema: { querystring: lookSchema } }, (request, reply) => {
    reply.headers(pageHeaders);
    return renderInbox(mailbox.find({}), request.query);
  });
  app.get("/mails/:id", { schema: { params: idSchema } }, (request, reply) => {
    const message = mailbox.get(request.params.id);
    if (message === undefined) return send(reply, noSuchMail(request.params.id));
    reply.headers(pageHeaders);
    return renderMail(message);
  });
  app.get("/messages/:id/html", { schema: { params: idSchema } }, (request, reply) => {
    const html = mailbox.get(request.params.id)?.html ?? null;
    if (html === null) return send(reply, noSuchMail(request.params.id));
    reply.headers({ ...pageHeaders, "content-security-policy": mailPolicy });
    return html;
  });
  app.get("/messages", { schema: { querystring: filterSchema } }, (request, reply) => {
    const messages = mailbox.find(request.query);
    if (request.headers.accept?.includes("text/plain") !== true) return { messages };
    reply.type("text/plain; charset=utf-8");
    return messages.map(asText).join("\n");
  });
  app.get(
    "/messages/next",
    {
      schema: {
        querystring: filterSchema.extend({
          timeoutMs: z.coerce.number().int().min(0).max(30_000).default(30_000),
        }),
      },
    },
    async (request, reply) => {
      const { timeoutMs, ...filter } = request.query;
      waiting += 1;
      try {
        // What came since this request did is opened too: from here on, keeping a mail rings the bell.
        await mailbox.open();
        const found = await bell.waitFor(() => mailbox.find(filter)[0], timeoutMs, hangUpSignal(reply));
        return found ?? send(reply, refuse(404, "no_such_mail", `no such mail within ${timeoutMs} ms`));
      } finally {
        waiting -= 1;
      }
    },
  );
  app.get("/messages/:id", { schema: { params: idSchema } }, (request, reply) => {
    const message = mailbox.get(request.params.id);
    return message ?? send(reply, noSuchMail(request.params.id));
  });

  const smtp = await startSmtp({
    port: options.smtpPort,
    host,
    mailbox,
    faults,
    onKept() {
      if (waiting === 0) return;
      mailbox.open().then(
        () => bell.ring(),
        (error: unknown) => options.logger?.error(error, "a mail could not be read"),
      );
    },
    ...(options.logger === undefined ? {} : { logger: options.logger }),
  });
  app.addHook("preClose", async () => bell.close());
  const running = await partner.run({ closed: smtp.close });
  return { ...running, smtpUrl: `smtp://${host}:${smtp.port}` };
}
