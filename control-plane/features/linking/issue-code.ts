import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Context } from "../../lifecycle/context.ts";
import { judgeVehicle } from "../../lifecycle/move-vehicles.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { hashLinkCode, triesAllowed, validForMs } from "./link-code.ts";

/**
 * Has the car show a new code, once it is delivered (DE4). The code leaves this function only towards the car.
 * A new code while the last one lives keeps its remaining tries: asking again must not buy guesses.
 */
export async function issueCode(
  context: Context,
  tx: Transaction,
  request: { vehicleId: string; customerId: string; drawCode: () => string },
): Promise<{ kind: "shown"; expiresAt: Date } | Refusal> {
  const { vehicleId, customerId } = request;
  // As if the code were proved: is there any other obstacle?
  const verdict = await judgeVehicle(tx, { vehicleId, event: "appLinked", linkCodeProved: true });
  if (verdict.kind === "refused") return refuseByRule(verdict);
  const now = context.clock.now();
  const last = await tx
    .selectFrom("link_codes")
    .select(["tries_left", "expires_at"])
    .where("vehicle_id", "=", vehicleId)
    .where("expires_at", ">", now)
    .executeTakeFirst();
  const triesLeft = last?.tries_left ?? triesAllowed;
  if (last !== undefined && triesLeft === 0)
    return refuse(
      "tooManyRequests",
      `no tries are left; a new code can be shown after ${last.expires_at.toISOString()}`,
    );
  const displayId = newId();
  const code = request.drawCode();
  const expiresAt = new Date(now.getTime() + validForMs);
  const row = {
    display_id: displayId,
    code_hash: hashLinkCode(displayId, code),
    customer_id: customerId,
    expires_at: expiresAt,
    tries_left: triesLeft,
  };
  await tx
    .insertInto("link_codes")
    .values({ vehicle_id: vehicleId, ...row })
    .onConflict((conflict) => conflict.column("vehicle_id").doUpdateSet(row))
    .execute();
  await context.publish(tx, "displayRequested", [
    {
      vehicleId,
      displayId,
      content: { kind: "linkingCode", code },
      expiresAt,
    },
  ]);
  return { kind: "shown", expiresAt };
}
