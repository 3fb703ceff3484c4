import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { EventHandler } from "../../lifecycle/events.ts";
import type { Mail } from "../../partners/mail.ts";
import { handleJob } from "../../store/jobs.ts";
import { announceTasks } from "./announce-tasks.ts";
import { type CredentialsMail, createCredentialsMail } from "./credentials-mail.ts";
import { sendMailJob } from "./jobs.ts";
import { routeNotifications } from "./route-notifications.ts";
import { createMailSender } from "./send-mail.ts";
import { loadTemplates } from "./templates.ts";

export type Notifications = Capability & {
  onNotificationDue: EventHandler<"notificationDue">;
  /** The reservation is lost with the refused final payment (LF6): the customer is told. */
  onFinalPaymentDeclined: EventHandler<"finalPaymentDeclined">;
  /** Work for the dealership is mailed to its staff (ND13); support is told by the rows of the table alone. */
  onTaskNeeded: EventHandler<"taskNeeded">;
  sendCredentials: CredentialsMail;
};

export type NotificationOptions = {
  /** Where rows for support go, as `support@caas.example`. */
  supportEmail: string;
  /** The dealerships': the days in messages are theirs. */
  timeZone: string;
};

/**
 * The notification engine (SY6): routes a row of the table to its recipient and channels, renders its template, and
 * hands mail to the mail server. Channels that do not exist yet are recorded, never dropped.
 */
export function createNotifications(
  context: Context,
  partners: { mail: Mail },
  options: NotificationOptions,
): Notifications {
  const templates = loadTemplates(options.timeZone);
  const sendMail = createMailSender(context, partners.mail, templates);
  return {
    jobs: [handleJob(sendMailJob, sendMail)],
    onNotificationDue: (tx, due) => routeNotifications(context, tx, templates, options, due),
    onFinalPaymentDeclined: (tx, declined) =>
      context.publish(
        tx,
        "notificationDue",
        declined.map(({ expedienteId, paymentId }) => ({ row: "NX1", subject: { expedienteId, paymentId } })),
      ),
    onTaskNeeded: (tx, needed) => announceTasks(context, tx, templates, needed),
    sendCredentials: createCredentialsMail(partners.mail, templates),
  };
}
