import * as z from "zod";
import { jobType } from "../../store/jobs.ts";

export const arrangeTransportJob = jobType("arrangeTransport", z.object({ transportId: z.uuid() }));
