import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { EventHandler } from "../../lifecycle/events.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { type CredentialsMail, issueCredentials } from "./issue-credentials.ts";
import { credentialsAttempts, issueCredentialsJob } from "./jobs.ts";
import { accountRoutes } from "./routes.ts";

export type Accounts = Capability & { onSaleRegistered: EventHandler<"saleRegistered"> };

/** Signing in, and the credentials that every customer gets automatically with a sale (AU2, AU3). */
export function createAccounts(context: Context, partners: { sendCredentials: CredentialsMail }): Accounts {
  return {
    addRoutes: accountRoutes,
    jobs: [
      handleJob(issueCredentialsJob, ({ expedienteId }, attempt) =>
        issueCredentials(context, partners.sendCredentials, expedienteId, attempt),
      ),
    ],
    onSaleRegistered: (tx, sales) =>
      enqueue(
        tx,
        issueCredentialsJob,
        sales.map(({ expedienteId }) => ({ payload: { expedienteId }, maxAttempts: credentialsAttempts })),
      ),
  };
}
