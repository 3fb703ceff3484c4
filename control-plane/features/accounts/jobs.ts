import * as z from "zod";
import { jobType } from "../../store/jobs.ts";

export const issueCredentialsJob = jobType("issueCredentials", z.object({ expedienteId: z.uuid() }));
