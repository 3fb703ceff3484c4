import * as z from "zod";
import { callPartner, type PartnerAnswer, type PartnerEndpoint } from "./call-partner.ts";

export type TransportRequest = {
  /** Our own number for this transport: the carrier makes one for each. */
  reference: string;
  vin: string;
  /** Calendar day, as `2026-03-01`. */
  date: string;
  destination: { street: string; city: string; postalCode: string; country: string };
  contactPhone: string;
};

const transportSchema = z.object({
  transportId: z.string().min(1).max(100),
  reference: z.string(),
  date: z.iso.date(),
  driver: z.string().min(1).max(200),
  route: z.array(z.string().max(200)).max(100),
});

export type CarrierTransport = z.infer<typeof transportSchema>;

/** The subcontracted carrier. Both calls throw PartnerUnavailable; what happens on the road comes as webhooks. */
export type Carrier = {
  arrange(request: TransportRequest): Promise<PartnerAnswer<CarrierTransport>>;
  /** `null`: the carrier knows no transport with this reference. */
  findByReference(reference: string): Promise<CarrierTransport | null>;
};

const defaultTimeoutMs = 10_000;

export function createCarrier(options: { baseUrl: string; apiKey: string; timeoutMs?: number }): Carrier {
  const endpoint: PartnerEndpoint = {
    name: "transport",
    baseUrl: options.baseUrl,
    apiKey: options.apiKey,
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
  };
  const foundSchema = z.object({ transports: z.array(transportSchema).max(1) });
  return {
    arrange: (request) =>
      callPartner(
        endpoint,
        { method: "POST", path: "/v1/transports", body: request, idempotencyKey: request.reference },
        transportSchema,
      ),
    async findByReference(reference) {
      const path = `/v1/transports?reference=${encodeURIComponent(reference)}`;
      const answer = await callPartner(endpoint, { method: "GET", path }, foundSchema);
      return answer.kind === "ok" ? (answer.value.transports[0] ?? null) : null;
    },
  };
}
