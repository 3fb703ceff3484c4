import type { Mail } from "../../partners/mail.ts";
import { newId } from "../../store/ids.ts";
import type { Templates } from "./templates.ts";
import { emptyView } from "./view.ts";

/**
 * Mails the credentials of a purchase (NT1). `password` is null for a customer who already has an account. The password
 * is in this mail and nowhere else.
 * @returns the Message-ID. @throws when the mail server has not accepted it
 */
export type CredentialsMail = (mail: {
  to: string;
  name: string;
  username: string;
  password: string | null;
  expedienteReference: string;
}) => Promise<{ providerId: string }>;

export function createCredentialsMail(mail: Mail, templates: Templates): CredentialsMail {
  return async ({ to, name, username, password, expedienteReference }) => {
    const { subject, body } = templates.render("nt1", {
      ...emptyView,
      recipient: { name },
      detail: { reference: expedienteReference },
      credentials: { username, password },
    });
    const html = templates.toHtml({ subject, body });
    // A repeated try carries another password, so it must not pass for the mail before it: a new id each time.
    const outcome = await mail.send({ to, subject, text: body, html, id: newId() });
    if (outcome.kind !== "accepted")
      throw new Error(
        `the mail server has not taken the credentials of ${expedienteReference}: ${outcome.reason}`,
      );
    return { providerId: outcome.providerId };
  };
}
