import type { Clock } from "@caas/contract/business-clock.ts";
import { type ParsedMail, simpleParser } from "mailparser";
import * as z from "zod";
import type { PartnerStore } from "../shared/store.ts";

const messageSchema = z.object({
  /** Rises with each mail. */
  id: z.string(),
  /** The recipients of the SMTP envelope, lower case. */
  to: z.array(z.string()),
  from: z.string(),
  subject: z.string(),
  text: z.string(),
  html: z.string().nullable(),
  /** Names in lower case; a repeated header is joined by commas. */
  headers: z.record(z.string(), z.string()),
  receivedAt: z.string(),
});
export type Message = z.infer<typeof messageSchema>;

/** As it came in. Parsing a mail costs more than everything else about it, and most are never read. */
const unreadSchema = z.object({
  id: z.string(),
  source: z.string(),
  from: z.string(),
  to: z.array(z.string()),
  receivedAt: z.string(),
});
type Unread = z.infer<typeof unreadSchema>;

export type MessageFilter = {
  to?: string | undefined;
  /** Part of the subject, upper and lower case alike. */
  subject?: string | undefined;
  /** Id of a message, or an ISO instant: only what came after it. */
  after?: string | undefined;
};

/** Every mail the platform has sent, oldest first. */
export function openMailbox(store: PartnerStore, clock: Clock) {
  const messages = store.collection("messages", messageSchema, { to: (message) => message.to });
  const unread = store.collection("unread", unreadSchema);
  let opening = Promise.resolve();
  return {
    get: (id: string) => messages.get(id),
    find(filter: MessageFilter): Message[] {
      const candidates =
        filter.to === undefined ? messages.list() : messages.find("to", filter.to.toLowerCase());
      return candidates.filter((message) => fits(message, filter));
    },
    /** On disk when it resolves; it can be found once it was opened. */
    keep(source: Buffer, from: string, to: readonly string[]): Promise<void> {
      store.transaction(() => {
        const id = String(store.nextNumber("messages")).padStart(8, "0");
        const receivedAt = clock.now().toISOString();
        unread.put(id, { id, source: source.toString("latin1"), from, to: [...to], receivedAt });
      });
      return store.committed();
    },
    /** From here on everything that was kept before can be found. */
    open(): Promise<void> {
      opening = opening.then(openUnread);
      return opening;
    },
  };

  async function openUnread(): Promise<void> {
    for (const kept of unread.list()) {
      const message = await read(kept);
      store.transaction(() => {
        messages.put(message.id, message);
        unread.delete(message.id);
      });
    }
  }
}

async function read({ id, source, from, to, receivedAt }: Unread): Promise<Message> {
  const mail = await simpleParser(Buffer.from(source, "latin1"));
  return {
    id,
    to: to.map((address) => address.toLowerCase()),
    from: mail.from?.value[0]?.address ?? from,
    subject: mail.subject ?? "",
    text: mail.text ?? "",
    html: mail.html === false ? null : (mail.html ?? null),
    headers: readHeaders(mail),
    receivedAt,
  };
}

export type Mailbox = ReturnType<typeof openMailbox>;

function fits(message: Message, { subject, after }: MessageFilter): boolean {
  if (subject !== undefined && !message.subject.toLowerCase().includes(subject.toLowerCase())) return false;
  if (after === undefined) return true;
  return /^\d+$/.test(after)
    ? Number(message.id) > Number(after)
    : Date.parse(message.receivedAt) > Date.parse(after);
}

function readHeaders(mail: ParsedMail): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const { key, line } of mail.headerLines) {
    const value = line
      .slice(line.indexOf(":") + 1)
      .replace(/\r?\n\s+/g, " ")
      .trim();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  return headers;
}
