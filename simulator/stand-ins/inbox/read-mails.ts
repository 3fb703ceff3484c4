import * as z from "zod";
import type { StandIn } from "../client.ts";

const messageSchema = z.object({ id: z.string(), subject: z.string(), text: z.string() });
export type Message = z.infer<typeof messageSchema>;

/** A number below every message's. */
export const beforeFirstMessage = "0";

/**
 * Waits for the first mail to `to` whose subject contains `subject`, received after the message `after`.
 * @throws Error when none comes in time
 */
export async function awaitMail(
  inbox: StandIn,
  wanted: { to: string; subject: string; after?: string; signal?: AbortSignal },
): Promise<Message> {
  const search = new URLSearchParams({
    to: wanted.to,
    subject: wanted.subject,
    after: wanted.after ?? beforeFirstMessage,
    timeoutMs: "20000",
  });
  return inbox.get(`/messages/next?${search}`, messageSchema, wanted.signal);
}

/** Everything `to` has been sent, oldest first. */
export async function readMails(inbox: StandIn, to: string): Promise<Message[]> {
  const search = new URLSearchParams({ to });
  return (await inbox.get(`/messages?${search}`, z.object({ messages: z.array(messageSchema) }))).messages;
}

/** The user name and the one-time password, as the customer reads them in the mail (NT1). */
export function readCredentials({ subject, text }: Message): { username: string; password: string } {
  const username = /^\W*User name: (\S+)\s*$/m.exec(text)?.[1];
  const password = /^\W*Password: (\S+)\s*$/m.exec(text)?.[1];
  if (username === undefined || password === undefined)
    throw new Error(`the mail "${subject}" does not hold a user name and a password`);
  return { username, password };
}
