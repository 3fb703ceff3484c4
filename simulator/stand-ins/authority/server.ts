import { businessDay } from "@caas/contract/business-day.ts";
import { writtenVinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { addressSchema } from "../shared/address.ts";
import { openPartner, type PartnerOptions, type RunningPartner } from "../shared/partner.ts";
import { issuePlate } from "./plate.ts";

const newRegistrationSchema = z.strictObject({
  reference: z.string().min(1).max(100),
  vin: writtenVinSchema,
  owner: z.strictObject({
    name: z.string().min(1).max(200),
    address: addressSchema,
    identityDocument: z
      .strictObject({
        kind: z.enum(["dni", "nie", "passport", "cif"]),
        number: z.string().min(1).max(20),
        country: z.string().length(2).optional(),
      })
      .optional(),
  }),
});

const registrationSchema = z.object({
  registrationId: z.string(),
  ...newRegistrationSchema.shape,
  plate: z.string(),
  registeredOn: z.iso.date(),
});
type Registration = z.infer<typeof registrationSchema>;

/** The authority that registers vehicles and issues their plates (SY10, DO7, DO8). */
export function startAuthority(options: PartnerOptions): Promise<RunningPartner> {
  const partner = openPartner("authority", options);
  const { store, clock } = partner;
  const registrations = store.collection("registrations", registrationSchema, {
    reference: (registration) => registration.reference,
    vin: (registration) => registration.vin,
  });
  /** The owner stays with the authority: its answers name the car, not the person. */
  const asDocument = ({ owner: _owner, ...document }: Registration) => document;

  partner.serve((api) => {
    api.post("/v1/registrations", { schema: { body: newRegistrationSchema } }, (request, reply) =>
      partner.answerOnce(request, reply, () => {
        const existing = registrations.find("reference", request.body.reference)[0];
        if (existing !== undefined) return { status: 200, body: asDocument(existing) };
        // A car keeps its plate when its owner changes.
        const earlier = registrations.find("vin", request.body.vin)[0];
        const registration: Registration = {
          registrationId: `reg_${String(store.nextNumber("registrations")).padStart(6, "0")}`,
          ...request.body,
          plate: earlier?.plate ?? issuePlate(store.nextNumber("plates")),
          registeredOn: businessDay(clock.now()),
        };
        registrations.put(registration.registrationId, registration);
        return { status: 201, body: asDocument(registration) };
      }),
    );

    api.get(
      "/v1/registrations",
      { schema: { querystring: z.strictObject({ reference: z.string().min(1).max(100) }) } },
      (request) => ({
        registrations: registrations.find("reference", request.query.reference).map(asDocument),
      }),
    );
  });
  return partner.run();
}
