import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import { expectNothing } from "../../lifecycle/partner-requests.ts";
import type { Transaction } from "../../store/database.ts";

/** The car that nobody took at home is in the yard (VX8): staff see it, whether or not the carrier has said so. */
export async function recordReturn(
  context: Context,
  tx: Transaction,
  seen: { expedienteId: string; actor: Actor },
): Promise<{ kind: "recorded"; vehicleState: string } | Refusal> {
  const { vehicle_id: vehicleId } = await tx
    .selectFrom("expedientes")
    .select("vehicle_id")
    .where("id", "=", seen.expedienteId)
    .forUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${seen.expedienteId}`));
  const returned = await tx
    .updateTable("transports")
    .set({ status: "returned" })
    .where("expediente_id", "=", seen.expedienteId)
    .where("status", "=", "customerAbsent")
    .returning("id")
    .execute();
  for (const { id } of returned) await expectNothing(tx, { partner: "carrier", id });
  const [decision] = await moveVehicles(context, tx, [
    {
      vehicleId,
      event: "returnedToDealership",
      actor: seen.actor,
      set: { back_at_dealership: true },
    },
  ]);
  if (decision.kind === "refused") return refuseByRule(decision);
  if (returned.length === 0) return refuse("conflict", "the vehicle is back at the dealership already");
  return { kind: "recorded", vehicleState: decision.to };
}
