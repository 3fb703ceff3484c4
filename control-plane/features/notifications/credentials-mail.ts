import type { Mail, MailOutcome } from "../../partners/mail.ts";
import { newId } from "../../store/ids.ts";
import type { Templates } from "./templates.ts";
import { emptyView } from "./view.ts";

/**
 * Mails the credentials of a purchase (NT1): a password, or the purchase whose mail has the one of the account that there
 * is. The password is in this mail and nowhere else.
 */
export type CredentialsMail = (
  mail: { to: string; name: string; username: string; expedienteReference: string } & (
    | { password: string }
    | { password: null; mailedFor: string }
  ),
) => Promise<MailOutcome>;

export function createCredentialsMail(mail: Mail, templates: Templates): CredentialsMail {
  return async ({ to, name, username, expedienteReference, ...access }) => {
    const { subject, body } = templates.render("nt1", {
      ...emptyView,
      recipient: { name },
      detail: { reference: expedienteReference },
      credentials: { username, mailedFor: null, ...access },
    });
    const html = templates.toHtml({ subject, body });
    // A repeated try carries another password, so it must not pass for the mail before it: a new id each time.
    return mail.send({ to, subject, text: body, html, id: newId() });
  };
}
