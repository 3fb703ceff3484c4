import { type Refusal, refuseByRule } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import type { Transaction } from "../../store/database.ts";
import { handedOverTo, recordDelivery } from "./record-delivery.ts";

/** The customer fetches at the dealership the vehicle that could not be handed over at home (FA9). */
export async function pickUp(
  context: Context,
  tx: Transaction,
  handOver: { expedienteId: string; receivedBy: string; actor: Actor },
): Promise<{ kind: "handedOver"; vehicleState: string } | Refusal> {
  const expediente = await tx
    .selectFrom("expedientes")
    .select(["vehicle_id", "customer_id"])
    .where("id", "=", handOver.expedienteId)
    // Before the vehicle, as everything that writes both does.
    .forUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${handOver.expedienteId}`));
  const [decision] = await moveVehicles(context, tx, [
    {
      vehicleId: expediente.vehicle_id,
      event: "customerPickedUp",
      actor: handOver.actor,
      set: handedOverTo(expediente.customer_id),
      detail: { receivedBy: handOver.receivedBy },
    },
  ]);
  if (decision.kind === "refused") return refuseByRule(decision);
  await recordDelivery(tx, handOver.expedienteId, {
    status: "success",
    at: context.clock.now(),
    receivedBy: handOver.receivedBy,
    place: "dealership",
  });
  return { kind: "handedOver", vehicleState: decision.to };
}
