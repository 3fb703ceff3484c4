import type { Mail } from "../../partners/mail.ts";
import { mailAttempts } from "./jobs.ts";
import type { Outbox } from "./outbox.ts";
import type { Templates } from "./templates.ts";

/**
 * Hands one queued notification to the mail server. It may run twice, so the Message-ID comes from the
 * notification's own id: a mailbox that gets it twice shows it once.
 * @throws when the server may take it later, with the reason kept on the notification.
 */
export async function sendMail(
  outbox: Outbox,
  mail: Mail,
  templates: Templates,
  notificationId: string,
  attempt: number,
): Promise<void> {
  const queued = await outbox.read(notificationId);
  if (queued.status !== "queued") return;
  const { address: to, subject, body } = queued;
  if (to === null || subject === null || body === null)
    throw new Error(`notification ${notificationId} is queued without address or content`);
  const html = templates.toHtml({ subject, body });
  const outcome = await mail.send({ to, subject, text: body, html, id: notificationId });
  switch (outcome.kind) {
    case "accepted":
      return outbox.recordAccepted(queued, outcome.providerId);
    case "refused":
      return outbox.recordFailed(queued, outcome.reason, "failed");
    case "unavailable":
      await outbox.recordFailed(queued, outcome.reason, attempt >= mailAttempts ? "failed" : "queued");
      throw new Error(`the mail server has not taken notification ${notificationId}: ${outcome.reason}`);
  }
}
