import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { callPartner, type PartnerAnswer, type PartnerEndpoint } from "./call-partner.ts";

export type RegistrationRequest = {
  /** Our own number for this registration: the authority makes one registration for each. */
  reference: string;
  vin: string;
  owner: { name: string; address: { street: string; city: string; postalCode: string; country: string } };
};

const registrationSchema = z.object({
  registrationId: z.string().min(1).max(100),
  reference: z.string(),
  vin: vinSchema,
  plate: z.string().min(1).max(20),
  registeredOn: z.iso.date(),
});

/** What the authority has on record for a vehicle: id, plate and day make up the registration document. */
export type AuthorityRegistration = z.infer<typeof registrationSchema>;

/** The public authority that registers vehicles. Both calls throw PartnerUnavailable. */
export type Authority = {
  register(request: RegistrationRequest): Promise<PartnerAnswer<AuthorityRegistration>>;
  /** `null`: the authority knows no registration with this reference. */
  findByReference(reference: string): Promise<AuthorityRegistration | null>;
};

// Registering is an office's work; nobody waits at a screen for it.
const defaultTimeoutMs = 10_000;

export function createAuthority(options: { baseUrl: string; apiKey: string; timeoutMs?: number }): Authority {
  const endpoint: PartnerEndpoint = {
    name: "authority",
    baseUrl: options.baseUrl,
    apiKey: options.apiKey,
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
  };
  const foundSchema = z.object({ registrations: z.array(registrationSchema).max(1) });
  return {
    register: (request) =>
      callPartner(
        endpoint,
        { method: "POST", path: "/v1/registrations", body: request, idempotencyKey: request.reference },
        registrationSchema,
      ),
    async findByReference(reference) {
      const path = `/v1/registrations?reference=${encodeURIComponent(reference)}`;
      const answer = await callPartner(endpoint, { method: "GET", path }, foundSchema);
      return answer.kind === "ok" ? (answer.value.registrations[0] ?? null) : null;
    },
  };
}
