import { realClock } from "@caas/contract/business-clock.ts";
import { vinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { addressSchema } from "../shared/address.ts";
import { registerControl } from "../shared/control.ts";
import { createFaults } from "../shared/faults.ts";
import { createApp, plainError, registerApi, send } from "../shared/http.ts";
import { createIdempotency, partnerIdempotency } from "../shared/idempotency.ts";
import { type PartnerOptions, type RunningPartner, runPartner } from "../shared/partner.ts";
import { openStore } from "../shared/store.ts";
import { issuePlate } from "./plate.ts";

const newRegistrationSchema = z.strictObject({
  reference: z.string().min(1).max(100),
  vin: vinSchema,
  owner: z.strictObject({ name: z.string().min(1).max(200), address: addressSchema }),
});

const registrationSchema = z.object({
  registrationId: z.string(),
  ...newRegistrationSchema.shape,
  plate: z.string(),
  registeredOn: z.iso.date(),
});
type Registration = z.infer<typeof registrationSchema>;

/** The authority that registers vehicles and issues their plates (SY10, DO7, DO8). */
export async function startAuthority(options: PartnerOptions): Promise<RunningPartner> {
  const clock = options.clock ?? realClock;
  const store = openStore(options.storePath);
  const faults = createFaults();
  const registrations = store.collection("registrations", registrationSchema, {
    reference: (registration) => registration.reference,
    vin: (registration) => registration.vin,
  });
  const answerOnce = createIdempotency(store, { ...partnerIdempotency, now: () => clock.now() });
  /** The owner stays with the authority: its answers name the car, not the person. */
  const asDocument = ({ owner: _owner, ...document }: Registration) => document;

  const app = createApp({ logger: options.logger, store, errorShape: plainError });
  registerControl(app, { name: "authority", store, faults });
  registerApi(app, { apiKey: options.apiKey, faults, errorShape: plainError }, (api) => {
    api.post("/v1/registrations", { schema: { body: newRegistrationSchema } }, (request, reply) => {
      const key = request.headers["idempotency-key"]?.toString();
      const call = { key, method: "POST", path: request.url, body: request.body };
      const answer = answerOnce(call, () => {
        const existing = registrations.find("reference", request.body.reference)[0];
        if (existing !== undefined) return { status: 200, body: asDocument(existing) };
        // A car keeps its plate when its owner changes.
        const earlier = registrations.find("vin", request.body.vin)[0];
        const registration: Registration = {
          registrationId: `reg_${String(store.nextNumber("registrations")).padStart(6, "0")}`,
          ...request.body,
          plate: earlier?.plate ?? issuePlate(store.nextNumber("plates")),
          registeredOn: clock.now().toISOString().slice(0, 10),
        };
        registrations.put(registration.registrationId, registration);
        return { status: 201, body: asDocument(registration) };
      });
      return send(reply, answer);
    });

    api.get(
      "/v1/registrations",
      { schema: { querystring: z.strictObject({ reference: z.string().min(1).max(100) }) } },
      (request) => ({
        registrations: registrations.find("reference", request.query.reference).map(asDocument),
      }),
    );
  });

  return runPartner({
    name: "authority",
    app,
    options,
    async close() {
      store.close();
    },
  });
}
