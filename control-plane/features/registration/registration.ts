import type { Capability } from "../../http/capability.ts";
import { system } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { type EventHandler, each } from "../../lifecycle/events.ts";
import { mustMoveVehicles } from "../../lifecycle/move-vehicles.ts";
import { expectNews, silenceTimer } from "../../lifecycle/partner-requests.ts";
import type { RegistrationAuthority } from "../../partners/registration-authority.ts";
import type { Transaction } from "../../store/database.ts";
import { newId } from "../../store/ids.ts";
import { enqueue, handleJob } from "../../store/jobs.ts";
import { enqueueRegistration, lookUpRegistrationJob, registerVehicleJob } from "./jobs.ts";
import { lookUpRegistration, registerVehicle } from "./register-vehicle.ts";
import { registrationRoutes } from "./routes.ts";

export type Registration = Capability & { onFinalPaymentReceived: EventHandler<"finalPaymentReceived"> };

/** Registers a paid vehicle with the public authority automatically (AU8): asked on the final payment, recorded on its answer. */
export function createRegistration(
  context: Context,
  partners: { registrationAuthority: RegistrationAuthority },
): Registration {
  return {
    addRoutes: (routing) => registrationRoutes(context, routing),
    jobs: [
      handleJob(registerVehicleJob, ({ expedienteId }, attempt) =>
        registerVehicle(context, partners.registrationAuthority, expedienteId, attempt),
      ),
      handleJob(lookUpRegistrationJob, ({ expedienteId }) =>
        lookUpRegistration(context, partners.registrationAuthority, expedienteId),
      ),
    ],
    timers: [
      silenceTimer(context, "authority", async (tx, registrationId) => {
        const { expediente_id: expedienteId } = await tx
          .selectFrom("registrations")
          .select("expediente_id")
          .where("id", "=", registrationId)
          .executeTakeFirstOrThrow(() => new Error(`no registration ${registrationId}`));
        const key = `lookUpRegistration:${expedienteId}`;
        await enqueue(tx, lookUpRegistrationJob, [{ payload: { expedienteId }, key }]);
      }),
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
  const id = newId();
  const asked = await tx
    .insertInto("registrations")
    .values({
      id,
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
  await expectNews(context, tx, { partner: "authority", id });
  await enqueueRegistration(tx, expedienteId);
}
