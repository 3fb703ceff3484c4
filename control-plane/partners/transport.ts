import { showOnOneLine } from "@caas/contract/shown-text.ts";
import { writtenVinSchema } from "@caas/contract/vin.ts";
import { receiverSchema } from "@caas/contract/webhooks.ts";
import * as z from "zod";
import type { Address } from "../store/schema.ts";
import {
  callPartner,
  endpointOf,
  lookUp,
  type PartnerAnswer,
  type PartnerOptions,
  requestOnce,
} from "./call-partner.ts";

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

/** Where a transport stands. */
const journeySchema = z.object({
  transportId: z.string().min(1).max(100),
  reference: z.string(),
  vin: writtenVinSchema,
  /** In the carrier's words: scheduled, started, arrived, delivered, customerAbsent, returned, calledOff. */
  status: z.string().max(50),
  receivedBy: receiverSchema,
});

export type CarrierJourney = z.infer<typeof journeySchema>;

/** The subcontracted carrier; news from the road come as webhooks, and can be looked up where those are lost. */
export type Carrier = {
  /** @throws PartnerUnavailable */
  arrange(request: TransportRequest, attempt: number): Promise<PartnerAnswer<CarrierTransport>>;
  /** `null`: it knows no transport with our reference. @throws PartnerUnavailable */
  lookUpTransport(reference: string): Promise<PartnerAnswer<CarrierJourney | null>>;
  /** The transport does not drive. One that was called off by an earlier try is found so. @throws PartnerUnavailable */
  callOff(
    transport: { transportId: string; reference: string },
    attempt: number,
  ): Promise<PartnerAnswer<unknown>>;
};

export function createCarrier(options: PartnerOptions): Carrier {
  const endpoint = endpointOf("transport", options);
  const lookUpTransport: Carrier["lookUpTransport"] = (reference) =>
    lookUp(endpoint, "transports", reference, journeySchema);
  return {
    arrange: (request, attempt) => requestOnce(endpoint, "transports", request, transportSchema, attempt),
    lookUpTransport,
    async callOff({ transportId, reference }, attempt) {
      if (attempt > 1) {
        const found = await lookUpTransport(reference);
        if (found.kind === "ok" && found.value?.status === "calledOff") return found;
      }
      const path = `/v1/transports/${encodeURIComponent(transportId)}/cancellation`;
      return callPartner(
        endpoint,
        { method: "POST", path, body: {}, idempotencyKey: `${reference}-cancellation` },
        z.unknown(),
      );
    },
  };
}
