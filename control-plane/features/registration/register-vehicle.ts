import type { Context } from "../../lifecycle/context.ts";
import { moveVehicles } from "../../lifecycle/move-vehicles.ts";
import type { Authority, AuthorityRegistration } from "../../partners/authority.ts";

type Requested = {
  expedienteId: string;
  vehicleId: string;
  reference: string;
  vin: string;
  owner: { name: string; address: { street: string; city: string; postalCode: string; country: string } };
};

/**
 * Asks the authority and records the document. Runs at least once: a registration already recorded is left
 * alone, and a try that follows another first looks up what the earlier one may have done.
 */
export async function registerVehicle(
  context: Context,
  authority: Authority,
  expedienteId: string,
  attempt: number,
): Promise<void> {
  const requested = await loadRequested(context, expedienteId);
  if (requested === null) return;
  const known = attempt > 1 ? await authority.findByReference(requested.reference) : null;
  await record(context, requested, known ?? (await askAuthority(authority, requested)));
}

async function askAuthority(authority: Authority, requested: Requested): Promise<AuthorityRegistration> {
  const { reference, vin, owner } = requested;
  const answer = await authority.register({ reference, vin, owner });
  // Failing keeps the request in the queue, where staff see it; the authority may be put right meanwhile.
  if (answer.kind === "refused")
    throw new Error(`the authority refused ${reference}: ${answer.code}, ${answer.message}`);
  return answer.value;
}

/** `null` when there is nothing left to ask. */
async function loadRequested(context: Context, expedienteId: string): Promise<Requested | null> {
  const row = await context.db
    .selectFrom("registrations")
    .innerJoin("expedientes", "expedientes.id", "registrations.expediente_id")
    .innerJoin("customers", "customers.id", "expedientes.customer_id")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .where("registrations.expediente_id", "=", expedienteId)
    .select([
      "registrations.status",
      "registrations.reference",
      "expedientes.vehicle_id",
      "vehicles.vin",
      "customers.name",
      "customers.address",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no registration was requested for expediente ${expedienteId}`));
  if (row.status === "recorded") return null;
  if (row.vin === null) throw new Error(`vehicle ${row.vehicle_id} is to be registered without a VIN`);
  const { street, city, postalCode, country } = row.address;
  return {
    expedienteId,
    vehicleId: row.vehicle_id,
    reference: row.reference,
    vin: row.vin,
    owner: { name: row.name, address: { street, city, postalCode, country } },
  };
}

async function record(
  context: Context,
  requested: Requested,
  registration: AuthorityRegistration,
): Promise<void> {
  if (registration.vin !== requested.vin || registration.reference !== requested.reference)
    throw new Error(`the authority answered ${requested.reference} with another vehicle's registration`);
  const { registrationId: authorityId, plate, registeredOn } = registration;
  await context.db.transaction().execute(async (tx) => {
    const recorded = await tx
      .updateTable("registrations")
      .set({
        status: "recorded",
        authority_id: authorityId,
        plate,
        registered_on: registeredOn,
        recorded_at: context.clock.now(),
      })
      .where("expediente_id", "=", requested.expedienteId)
      .where("status", "=", "requested")
      .executeTakeFirst();
    if (recorded.numUpdatedRows !== 1n) return;
    await tx
      .updateTable("expedientes")
      .set({ registration_document: JSON.stringify({ authorityId, plate, registeredOn }) })
      .where("id", "=", requested.expedienteId)
      .execute();
    const [decision] = await moveVehicles(context, tx, [
      {
        vehicleId: requested.vehicleId,
        event: "vehicleRegistered",
        actor: { kind: "partner", id: "authority" },
        set: { registration: "recorded" },
        detail: { authorityId, plate, registeredOn },
      },
    ]);
    if (decision.kind === "refused") throw new Error(decision.message);
  });
}
