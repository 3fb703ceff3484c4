import type { Capability } from "../../http/capability.ts";
import type { Context } from "../../lifecycle/context.ts";
import type { NotifyListener } from "../../store/notify-listener.ts";
import { salesRoutes } from "./routes.ts";

/** Sales desk and expediente de compra: registering a sale, and reading everything that followed from it. */
export function createSales(context: Context, parts: { steps: NotifyListener }): Capability {
  return { addRoutes: (routing) => salesRoutes(context, parts.steps, routing) };
}
