import type { Capability } from "../../http/capability.ts";
import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { mustMoveVehicles } from "../../lifecycle/move-vehicles.ts";
import type { RegistrationAuthority } from "../../partners/registration-authority.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { registerVehicleJob } from "./jobs.ts";
import { registerVehicle } from "./register-vehicle.ts";

export type Registration = Capability & { onFinalPaymentReceived: EventHandler<"finalPaymentReceived"> };

/** Registers a paid vehicle with the public authority automatically (AU8): asked on the final payment, recorded on its answer. */
export function createRegistration(
  context: Context,
  partners: { registrationAuthority: RegistrationAuthority },
): Registration {
  return {
    jobs: [
      handleJob(registerVehicleJob, ({ expedienteId }, attempt) =>
        registerVehicle(context, partners.registrationAuthority, expedienteId, attempt),
      ),
    ],
    onFinalPaymentReceived: each((tx, { expedienteId }) => requestRegistration(context, tx, expedienteId)),
  };
}

/** @throws when the rules refuse: then the payment was announced without being received, and must be undone (DE2) */
async function requestRegistration(context: Context, tx: Transaction, expedienteId: string): Promise<void> {
  const expediente = await tx
    .selectFrom("expedientes")
    .select(["reference", "vehicle_id"])
    .where("id", "=", expedienteId)
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${expedienteId}`));
  const reference = `REG-${expediente.reference}`;
  const asked = await tx
    .insertInto("registrations")
    .values({
      id: newId(),
      expediente_id: expedienteId,
      reference,
      status: "requested",
      requested_at: context.clock.now(),
    })
    .onConflict((conflict) => conflict.column("expediente_id").doNothing())
    .executeTakeFirst();
  if (asked.numInsertedOrUpdatedRows !== 1n) return;
  await mustMoveVehicles(context, tx, [
    {
      vehicleId: expediente.vehicle_id,
      event: "registrationRequested",
      actor: system,
      set: { registration: "requested" },
      detail: { reference },
    },
  ]);
  await enqueue(tx, registerVehicleJob, [{ payload: { expedienteId } }]);
}
