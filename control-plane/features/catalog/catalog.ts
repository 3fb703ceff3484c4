import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { Vss } from "../../partners/vss.ts";
import { createAdvice } from "./maintenance-advice.ts";
import { catalogRoutes } from "./routes.ts";

/** The services on offer: in general, and for one car with the maintenance advice on each. */
export function createCatalog(context: Context, partners: { vss: Vss }): Capability {
  const advise = createAdvice(context.clock, partners.vss);
  return { addRoutes: (routing) => catalogRoutes(advise, routing) };
}
