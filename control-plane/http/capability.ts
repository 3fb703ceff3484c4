import type { JobHandler } from "../store/jobs.ts";
import type { TimerHandler } from "../store/timers.ts";
import type { Routing } from "./routes.ts";

/** Routes, jobs and deadlines of a capability. Its event handlers are functions of their own, wired by name. */
export type Capability = {
  addRoutes?(routing: Routing): void;
  jobs?: readonly JobHandler[];
  timers?: readonly TimerHandler[];
};
