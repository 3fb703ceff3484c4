import * as z from "zod";
import { jobType } from "../../store/jobs.ts";

export const pruneJob = jobType("prune", z.object({}), 1);
