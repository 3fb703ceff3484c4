import type { Context } from "../../lifecycle/context.ts";
import type { Mail, MailOutcome } from "../../partners/mail.ts";
import { groupCommit } from "../../store/group-commit.ts";
import { createTurns } from "../../store/turns.ts";
import { mailAttempts } from "./jobs.ts";
import { type DueMail, readDueMails } from "./read-due-mails.ts";
import { type MailTry, recordMails } from "./record-mails.ts";
import type { Templates } from "./templates.ts";

/** Nobody waits for a mail to leave, or for its outcome to be recorded: each waits for others to share a statement. */
const lingerMs = 50;

/**
 * Hands one queued notification to the mail server, and before it those that were queued earlier for the same sale and
 * address: a person reads them in the order in which things happened. One that a later message has made pointless is
 * not sent. Mails that are sent at the same time are read and recorded together. It may run twice, so the Message-ID
 * comes from the notification's own id: a mailbox shows it once.
 * @throws when the server may take one later, with the reason kept on the notification.
 */
export function createMailSender(
  context: Context,
  mail: Mail,
  templates: Templates,
): (
  mail: { notificationId: string; inOrderOf?: string | null | undefined },
  attempt: number,
) => Promise<void> {
  const { db } = context;
  const inTurn = createTurns();
  const read = groupCommit((ids: readonly string[]) => readDueMails(db, ids), { lingerMs });
  const record = groupCommit(
    async (tries: readonly MailTry[]) => {
      await recordMails(context, tries);
      return tries.map(() => undefined);
    },
    { lingerMs },
  );

  async function send({ notification, isOvertaken }: DueMail, attempt: number): Promise<void> {
    if (notification.status !== "queued") return;
    if (isOvertaken) return record({ notification, status: "overtaken", providerId: null, error: null });
    const { id, address: to, subject, body } = notification;
    if (to === null || subject === null || body === null)
      throw new Error(`notification ${id} is queued without address or content`);
    const html = templates.toHtml({ subject, body });
    const outcome = await mail.send({ to, subject, text: body, html, id });
    await record({ notification, ...judge(outcome, attempt) });
    if (outcome.kind === "unavailable")
      throw new Error(`the mail server has not taken notification ${id}: ${outcome.reason}`);
  }

  return ({ notificationId, inOrderOf = null }, attempt) =>
    inTurn(inOrderOf, async () => {
      for (const due of await read(notificationId)) await send(due, attempt);
    });
}

function judge(outcome: MailOutcome, attempt: number): Omit<MailTry, "notification"> {
  switch (outcome.kind) {
    case "accepted":
      return { status: "accepted", providerId: outcome.providerId, error: null };
    case "refused":
      return { status: "failed", providerId: null, error: outcome.reason };
    case "unavailable":
      return {
        status: attempt >= mailAttempts ? "failed" : "queued",
        providerId: null,
        error: outcome.reason,
      };
  }
}
