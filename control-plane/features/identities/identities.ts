import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import { identityRoutes } from "./routes.ts";

/** Revocation: which cars may still connect. The fleet link tells the broker. */
export function createIdentities(context: Context): Capability {
  return { addRoutes: (routing) => identityRoutes(context, routing) };
}
