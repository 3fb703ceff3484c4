import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { judgeVehicle, moveVehicles } from "../../lifecycle/move-vehicles.ts";
import type { Transaction } from "../../store/database.ts";
import { isLinkCode } from "./link-code.ts";

export type LinkOutcome =
  | { kind: "linked"; vehicleState: string; linkedAt: Date }
  /** Not a refusal: the try that it cost is kept, and a refusal would undo it. */
  | { kind: "wrongCode"; triesLeft: number };

/** Compares the code the customer read off the car's screen; the right one makes the vehicle Operational (VA14). */
export async function linkApp(
  context: Context,
  tx: Transaction,
  request: { vehicleId: string; customerId: string; code: string; actor: Actor },
): Promise<LinkOutcome | Refusal> {
  const { vehicleId, customerId, code } = request;
  const verdict = await judgeVehicle(tx, { vehicleId, event: "appLinked", linkCodeProved: true });
  if (verdict.kind === "refused") return refuseByRule(verdict);
  const now = context.clock.now();
  const shown = await tx
    .selectFrom("link_codes")
    .selectAll()
    .where("vehicle_id", "=", vehicleId)
    .where("customer_id", "=", customerId)
    .where("expires_at", ">", now)
    .where("tries_left", ">", 0)
    .forUpdate()
    .executeTakeFirst();
  if (shown === undefined)
    return refuse("wrongCode", "no code is valid now: have the car show a new one", { field: "body.code" });
  if (!isLinkCode(shown.display_id, code, shown.code_hash)) {
    const triesLeft = shown.tries_left - 1;
    await tx
      .updateTable("link_codes")
      .set({ tries_left: triesLeft })
      .where("vehicle_id", "=", vehicleId)
      .execute();
    return { kind: "wrongCode", triesLeft };
  }
  await tx.deleteFrom("link_codes").where("vehicle_id", "=", vehicleId).execute();
  const [decision] = await moveVehicles(context, tx, [
    {
      vehicleId,
      event: "appLinked",
      actor: request.actor,
      linkCodeProved: true,
      set: { app_linked_at: now },
    },
  ]);
  if (decision.kind === "refused") return refuseByRule(decision);
  return { kind: "linked", vehicleState: decision.to, linkedAt: now };
}
