import { showOnOneLine } from "@caas/contract/shown-text.ts";
import * as z from "zod";
import type { Address } from "../store/schema.ts";
import { endpointOf, type PartnerAnswer, type PartnerOptions, requestOnce } from "./call-partner.ts";

export type TransportRequest = {
  /** Our own number for this transport: the carrier makes one for each. */
  reference: string;
  vin: string;
  /** Calendar day, as `2026-03-01`. */
  date: string;
  destination: Address;
  contactPhone: string;
};

const transportSchema = z.object({
  transportId: z.string().min(1).max(100),
  reference: z.string(),
  date: z.iso.date(),
  driver: z.string().min(1).max(200).overwrite(showOnOneLine),
  route: z.array(z.string().max(200).overwrite(showOnOneLine)).max(100),
});

export type CarrierTransport = z.infer<typeof transportSchema>;

/** The subcontracted carrier; news from the road come as webhooks. */
export type Carrier = {
  /** @throws PartnerUnavailable */
  arrange(request: TransportRequest, attempt: number): Promise<PartnerAnswer<CarrierTransport>>;
};

export function createCarrier(options: PartnerOptions): Carrier {
  const endpoint = endpointOf("transport", options);
  return {
    arrange: (request, attempt) => requestOnce(endpoint, "transports", request, transportSchema, attempt),
  };
}
