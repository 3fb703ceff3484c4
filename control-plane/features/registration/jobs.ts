import * as z from "zod";
import { jobType } from "../../store/jobs.ts";

export const registerVehicleJob = jobType("registerVehicle", z.object({ expedienteId: z.uuid() }));
