import type { Context } from "../../lifecycle/context.ts";
import type { Mail, MailOutcome } from "../../partners/mail.ts";
import { groupCommit } from "../../store/group-commit.ts";
import { mailAttempts } from "./jobs.ts";
import { type MailTry, readNotifications, recordMails } from "./record-mails.ts";
import type { Templates } from "./templates.ts";

/** No caller waits for an outcome to be recorded, so it waits for others to share their statement. */
const recordLingerMs = 50;

/**
 * Hands one queued notification to the mail server; mails that are sent at the same time are read and recorded
 * together. It may run twice, so the Message-ID comes from the notification's own id: a mailbox shows it once.
 * @throws when the server may take it later, with the reason kept on the notification.
 */
export function createMailSender(
  context: Context,
  mail: Mail,
  templates: Templates,
): (notificationId: string, attempt: number) => Promise<void> {
  const { db } = context;
  const read = groupCommit((ids: readonly string[]) => readNotifications(db, ids));
  const record = groupCommit(
    async (tries: readonly MailTry[]) => {
      await recordMails(context, tries);
      return tries.map(() => undefined);
    },
    { lingerMs: recordLingerMs },
  );
  return async (notificationId, attempt) => {
    const notification = await read(notificationId);
    if (notification.status !== "queued") return;
    const { address: to, subject, body } = notification;
    if (to === null || subject === null || body === null)
      throw new Error(`notification ${notificationId} is queued without address or content`);
    const html = templates.toHtml({ subject, body });
    const outcome = await mail.send({ to, subject, text: body, html, id: notificationId });
    await record({ notification, ...judge(outcome, attempt) });
    if (outcome.kind === "unavailable")
      throw new Error(`the mail server has not taken notification ${notificationId}: ${outcome.reason}`);
  };
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
