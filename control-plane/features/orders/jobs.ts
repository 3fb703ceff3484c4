import * as z from "zod";
import { jobType } from "../../store/jobs.ts";

const ofOrder = z.object({ orderId: z.uuid() });

export const placeFactoryOrderJob = jobType("placeFactoryOrder", ofOrder);
export const handOverEnrolmentJob = jobType("handOverEnrolment", ofOrder);
