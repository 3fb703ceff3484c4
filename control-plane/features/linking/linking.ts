import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import { linkingRoutes } from "./routes.ts";

export type LinkingOptions = {
  /** Six unpredictable digits; `drawLinkCode` outside tests. */
  drawCode: () => string;
};

/** Links the customer's app to the car they are sitting in: the car shows a code, the app sends it back (DE4, AG3). */
export function createLinking(context: Context, options: LinkingOptions): Capability {
  return { addRoutes: (routing) => linkingRoutes(context, options.drawCode, routing) };
}
