import * as z from "zod";
import { actorOf, type Principal } from "../../http/principal.ts";
import { addCommand, type Routing } from "../../http/routes.ts";
import type { Context } from "../../lifecycle/context.ts";
import { issueCode } from "./issue-code.ts";
import { linkApp } from "./link-app.ts";
import { linkCodeDigits } from "./link-code.ts";

const params = z.strictObject({ vehicleId: z.uuid() });

const linkAnswer = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("linked"), vehicleState: z.string(), linkedAt: z.iso.datetime() }),
  z.object({ outcome: z.literal("wrongCode"), triesLeft: z.int() }),
]);

/** `POST …/link-codes` and `POST …/link`: both for the vehicle's owner. */
export function linkingRoutes(context: Context, drawCode: () => string, routing: Routing): void {
  addCommand(routing, {
    url: "/api/vehicles/:vehicleId/link-codes",
    tag: "linking",
    summary: "Show a linking code in the car",
    refuses: ["ruleRefused", "tooManyRequests"],
    description: "The code appears on the car's own display and nowhere else, and is valid for ten minutes.",
    params,
    body: z.strictObject({}),
    status: 202,
    answer: z.object({ expiresAt: z.iso.datetime() }),
    async run(tx, { principal, params: { vehicleId } }) {
      const outcome = await issueCode(context, tx, {
        vehicleId,
        customerId: customerIdOf(principal),
        drawCode,
      });
      if (outcome.kind === "refused") return outcome;
      return { kind: "done", answer: { expiresAt: outcome.expiresAt.toISOString() } };
    },
  });
  addCommand(routing, {
    url: "/api/vehicles/:vehicleId/link",
    tag: "linking",
    summary: "Link the app to the car",
    refuses: ["ruleRefused", "wrongCode"],
    description:
      "Send the code that the car shows. A wrong code is answered with 200 and `outcome: wrongCode`, because the try it costs is kept.",
    params,
    body: z.strictObject({
      code: z
        .string()
        .regex(new RegExp(`^[0-9]{${linkCodeDigits}}$`), `${linkCodeDigits} digits`)
        .meta({ description: "The digits on the car's screen.", examples: ["123456"] }),
    }),
    status: 200,
    answer: linkAnswer,
    async run(tx, { principal, params: { vehicleId }, body: { code } }) {
      const outcome = await linkApp(context, tx, {
        vehicleId,
        customerId: customerIdOf(principal),
        code,
        actor: actorOf(principal),
      });
      switch (outcome.kind) {
        case "refused":
          return outcome;
        case "wrongCode":
          return { kind: "done", answer: { outcome: "wrongCode" as const, triesLeft: outcome.triesLeft } };
        case "linked": {
          const { vehicleState, linkedAt } = outcome;
          const answer = { outcome: "linked" as const, vehicleState, linkedAt: linkedAt.toISOString() };
          return { kind: "done", answer };
        }
      }
    },
  });
}

function customerIdOf(principal: Principal): string {
  if (principal.kind !== "customer") throw new Error("the access table lets only customers link");
  return principal.customerId;
}
