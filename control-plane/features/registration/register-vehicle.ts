import type { Context } from "../../lifecycle/context.ts";
import { mustMoveVehicles } from "../../lifecycle/move-vehicles.ts";
import { askPartner, expectNothing, lookUpMatter, type Matter } from "../../lifecycle/partner-requests.ts";
import type {
  AuthorityRegistration,
  RegistrationAuthority,
  RegistrationRequest,
} from "../../partners/registration-authority.ts";
import type { Transaction } from "../../store/database.ts";
import type { Buyer } from "../../store/schema.ts";
import { enqueueRegistration } from "./jobs.ts";

type Requested = { expedienteId: string; vehicleId: string; matter: Matter; request: RegistrationRequest };

/** Asks the authority and records the document. Runs at least once: a recorded registration is left alone. */
export async function registerVehicle(
  context: Context,
  authority: RegistrationAuthority,
  expedienteId: string,
  attempt: number,
): Promise<void> {
  const requested = await loadRequested(context, expedienteId);
  if (requested === null) return;
  await askPartner(context, requested.matter, attempt, {
    ask: (tries) => authority.register(requested.request, tries),
    record: (tx, registration) => record(context, tx, requested, registration),
    refusalTask: "registrationRefused",
  });
}

/**
 * The target of a registration has passed (ME5): what the authority has of it is looked up, and a person hears when
 * that is nothing.
 */
export async function lookUpRegistration(
  context: Context,
  authority: RegistrationAuthority,
  expedienteId: string,
): Promise<void> {
  const requested = await loadRequested(context, expedienteId);
  if (requested === null) return;
  const { reference } = requested.request;
  await lookUpMatter(context, requested.matter, {
    look: () => authority.lookUpRegistration(reference),
    expectedAt: null,
    async take(found) {
      if (found !== null) {
        await context.db.transaction().execute((tx) => record(context, tx, requested, found));
        return { kind: "news" };
      }
      // The job that asks may have used up its tries.
      await context.db.transaction().execute((tx) => enqueueRegistration(tx, expedienteId));
      return { kind: "nothingNew", reason: "the authority does not know it", isUrgent: false };
    },
  });
}

/** `null` when there is nothing left to ask. */
async function loadRequested(context: Context, expedienteId: string): Promise<Requested | null> {
  const row = await context.db
    .selectFrom("registrations")
    .innerJoin("expedientes", "expedientes.id", "registrations.expediente_id")
    .innerJoin("vehicles", "vehicles.id", "expedientes.vehicle_id")
    .where("registrations.expediente_id", "=", expedienteId)
    .select([
      "registrations.id",
      "registrations.status",
      "registrations.reference",
      "expedientes.vehicle_id",
      "vehicles.vin",
      "expedientes.buyer",
    ])
    .executeTakeFirstOrThrow(() => new Error(`no registration was requested for expediente ${expedienteId}`));
  if (row.status === "recorded") return null;
  if (row.vin === null) throw new Error(`vehicle ${row.vehicle_id} is to be registered without a VIN`);
  return {
    expedienteId,
    vehicleId: row.vehicle_id,
    matter: {
      partner: "authority",
      id: row.id,
      reference: row.reference,
      subject: { expedienteId, vehicleId: row.vehicle_id },
    },
    request: { reference: row.reference, vin: row.vin, owner: ownerOf(row.buyer) },
  };
}

function ownerOf({ name, address, identityDocument }: Buyer): RegistrationRequest["owner"] {
  return { name, address, ...(identityDocument === null ? {} : { identityDocument }) };
}

async function record(
  context: Context,
  tx: Transaction,
  { expedienteId, vehicleId, matter, request }: Requested,
  registration: AuthorityRegistration,
): Promise<void> {
  if (registration.vin !== request.vin || registration.reference !== request.reference)
    throw new Error(`the authority answered ${request.reference} with another vehicle's registration`);
  const { registrationId: authorityId, plate, registeredOn } = registration;
  const recorded = await tx
    .updateTable("registrations")
    .set({
      status: "recorded",
      authority_id: authorityId,
      plate,
      registered_on: registeredOn,
      recorded_at: context.clock.now(),
    })
    .where("expediente_id", "=", expedienteId)
    .where("status", "=", "requested")
    .executeTakeFirst();
  if (recorded.numUpdatedRows !== 1n) return;
  await expectNothing(tx, matter);
  await tx
    .updateTable("expedientes")
    .set({ registration_document: JSON.stringify({ authorityId, plate, registeredOn }) })
    .where("id", "=", expedienteId)
    .execute();
  await mustMoveVehicles(context, tx, [
    {
      vehicleId,
      event: "vehicleRegistered",
      actor: { kind: "partner", id: "authority" },
      set: { registration: "recorded" },
      detail: { authorityId, plate, registeredOn },
    },
  ]);
}
