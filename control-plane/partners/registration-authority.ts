import { writtenVinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import type { Address, IdentityDocument } from "../store/schema.ts";
import { endpointOf, lookUp, type PartnerAnswer, type PartnerOptions, requestOnce } from "./call-partner.ts";

export type RegistrationRequest = {
  /** Our own number for this registration: the authority makes one registration for each. */
  reference: string;
  vin: string;
  owner: { name: string; address: Address; identityDocument?: IdentityDocument };
};

const registrationSchema = z.object({
  registrationId: z.string().min(1).max(100),
  reference: z.string(),
  vin: writtenVinSchema,
  plate: z.string().min(1).max(20),
  registeredOn: z.iso.date(),
});

/** What the authority has on record for a vehicle: id, plate and day make up the registration document. */
export type AuthorityRegistration = z.infer<typeof registrationSchema>;

/** The public authority that registers vehicles. */
export type RegistrationAuthority = {
  /** @throws PartnerUnavailable */
  register(request: RegistrationRequest, attempt: number): Promise<PartnerAnswer<AuthorityRegistration>>;
  /** `null`: it knows no registration with our reference. @throws PartnerUnavailable */
  lookUpRegistration(reference: string): Promise<PartnerAnswer<AuthorityRegistration | null>>;
};

export function createRegistrationAuthority(options: PartnerOptions): RegistrationAuthority {
  const endpoint = endpointOf("authority", options);
  return {
    register: (request, attempt) =>
      requestOnce(endpoint, "registrations", request, registrationSchema, attempt),
    lookUpRegistration: (reference) => lookUp(endpoint, "registrations", reference, registrationSchema),
  };
}
