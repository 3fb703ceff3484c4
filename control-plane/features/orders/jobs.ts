import * as z from "zod";
import { jobType } from "../../store/jobs.ts";

export const placeFactoryOrderJob = jobType("placeFactoryOrder", z.object({ orderId: z.uuid() }));
export const handOverEnrolmentJob = jobType("handOverEnrolment", z.object({ orderId: z.uuid() }));
