import * as z from "zod";
import { jobType } from "../../store/jobs.ts";

export const issueCredentialsJob = jobType("issueCredentials", z.object({ expedienteId: z.uuid() }));

/** As any other mail: about half a day, longer than a mail server is down. */
export const credentialsAttempts = 12;
