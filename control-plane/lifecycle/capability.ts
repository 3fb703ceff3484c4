import type { Routing } from "../http/routes.ts";
import type { JobHandler } from "../store/jobs.ts";
import type { TimerHandler } from "../store/timers.ts";

/** What a capability brings along; its event handlers are functions of their own, wired by name in wiring.ts. */
export type Capability = {
  addRoutes?(routing: Routing): void;
  jobs?: readonly JobHandler[];
  timers?: readonly TimerHandler[];
};
