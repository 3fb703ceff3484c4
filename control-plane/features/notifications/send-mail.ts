import type { Context } from "../../lifecycle/context.ts";
import type { NotificationSubject } from "../../lifecycle/events.ts";
import type { Mail } from "../../partners/mail.ts";
import { type NotificationRowId, notificationRows } from "../../rules/notification-rows.ts";
import { mailAttempts } from "./jobs.ts";
import type { Templates } from "./templates.ts";

/**
 * Hands one queued notification to the mail server. It may run twice, so the Message-ID comes from the
 * notification's own id: a mailbox that gets it twice shows it once.
 * @throws when the server may take it later, with the reason kept on the notification.
 */
export async function sendMail(
  context: Context,
  mail: Mail,
  templates: Templates,
  notificationId: string,
  attempt: number,
): Promise<void> {
  const queued = await context.db
    .selectFrom("notifications")
    .selectAll()
    .where("id", "=", notificationId)
    .executeTakeFirstOrThrow(() => new Error(`no notification ${notificationId}`));
  if (queued.status !== "queued") return;
  const { address: to, subject, body } = queued;
  if (to === null || subject === null || body === null)
    throw new Error(`notification ${notificationId} is queued without address or content`);
  const html = templates.toHtml({ subject, body });
  const outcome = await mail.send({ to, subject, text: body, html, id: notificationId });
  switch (outcome.kind) {
    case "accepted":
      return recordAccepted(context, queued, outcome.providerId);
    case "refused":
      return recordFailed(context, queued, outcome.reason, "failed");
    case "unavailable":
      await recordFailed(context, queued, outcome.reason, attempt >= mailAttempts ? "failed" : "queued");
      throw new Error(`the mail server has not taken notification ${notificationId}: ${outcome.reason}`);
  }
}

type Queued = {
  id: string;
  row_id: string;
  event: string;
  recipient: string;
  expediente_id: string | null;
  vehicle_id: string | null;
  activation_id: string | null;
};

async function recordAccepted(context: Context, queued: Queued, providerId: string): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const updated = await tx
      .updateTable("notifications")
      .set({
        status: "accepted",
        provider_id: providerId,
        sent_at: context.clock.now(),
        last_error: null,
      })
      .where("id", "=", queued.id)
      .where("status", "=", "queued")
      .executeTakeFirst();
    if (updated.numUpdatedRows !== 1n || !isNotificationRow(queued.row_id)) return;
    await context.publish(tx, "notificationAccepted", {
      row: queued.row_id,
      notificationId: queued.id,
      subject: subjectOf(queued),
    });
  });
}

/** A message that will never arrive is a person's business: the customer is to be reached another way (ES6). */
async function recordFailed(
  context: Context,
  queued: Queued,
  reason: string,
  status: "queued" | "failed",
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const updated = await tx
      .updateTable("notifications")
      .set({ status, last_error: reason.slice(0, 500) })
      .where("id", "=", queued.id)
      .where("status", "=", "queued")
      .executeTakeFirst();
    if (updated.numUpdatedRows !== 1n || status !== "failed" || queued.recipient !== "customer") return;
    await context.publish(tx, "taskNeeded", {
      kind: "mailUndeliverable",
      team: "dealership",
      title: `The customer could not be reached by e-mail: ${queued.event}`,
      detail: { notificationId: queued.id },
      subject: subjectOf(queued),
    });
  });
}

function subjectOf(queued: Queued): NotificationSubject {
  return {
    ...(queued.expediente_id === null ? {} : { expedienteId: queued.expediente_id }),
    ...(queued.vehicle_id === null ? {} : { vehicleId: queued.vehicle_id }),
    ...(queued.activation_id === null ? {} : { activationId: queued.activation_id }),
  };
}

function isNotificationRow(rowId: string): rowId is NotificationRowId {
  return Object.hasOwn(notificationRows, rowId);
}
