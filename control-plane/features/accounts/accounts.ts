import * as z from "zod";
import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { EventHandler } from "../../lifecycle/events.ts";
import { enqueue, handleJob, jobType } from "../../store/jobs.ts";
import { type CredentialsMail, issueCredentials } from "./issue-credentials.ts";
import { accountRoutes } from "./routes.ts";

const issueCredentialsJob = jobType("issueCredentials", z.object({ expedienteId: z.uuid() }));

export type Accounts = Capability & { onSaleRegistered: EventHandler<"saleRegistered"> };

/** Signing in, and the credentials that every sale brings its customer unaided (AU2, AU3). */
export function createAccounts(context: Context, partners: { sendCredentials: CredentialsMail }): Accounts {
  return {
    addRoutes: accountRoutes,
    jobs: [
      handleJob(issueCredentialsJob, ({ expedienteId }) =>
        issueCredentials(context, partners.sendCredentials, expedienteId),
      ),
    ],
    onSaleRegistered: (tx, sales) =>
      enqueue(
        tx,
        issueCredentialsJob,
        sales.map(({ expedienteId }) => ({ payload: { expedienteId } })),
      ),
  };
}
