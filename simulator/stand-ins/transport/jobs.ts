import { randomUUID } from "node:crypto";
import type { Clock } from "@caas/contract/business-clock.ts";
import { writtenVinSchema } from "@caas/contract/vin.ts";
import * as z from "zod";
import { addressSchema } from "../shared/address.ts";
import type { PartnerStore } from "../shared/store.ts";
import type { Outbox } from "../shared/webhooks.ts";

export const newTransportSchema = z.strictObject({
  reference: z.string().min(1).max(100),
  vin: writtenVinSchema,
  date: z.iso.date(),
  destination: addressSchema,
  contactPhone: z.string().min(1).max(40),
});
export type NewTransport = z.infer<typeof newTransportSchema>;

export const outcomes = ["customerPresent", "customerAbsent"] as const;
export type Outcome = (typeof outcomes)[number];

export const steps = ["started", "arrived", "contacted", "returned"] as const;
export type Step = (typeof steps)[number];

const statuses = [
  "scheduled",
  "started",
  "arrived",
  "delivered",
  "customerAbsent",
  "returned",
  "calledOff",
] as const;
type Status = (typeof statuses)[number];

const transportSchema = z.object({
  transportId: z.string(),
  ...newTransportSchema.shape,
  driver: z.string(),
  route: z.array(z.string()),
  status: z.enum(statuses),
  receivedBy: z.string().nullable(),
});
export type Transport = z.infer<typeof transportSchema>;

/** The step that can follow a status; a delivered or returned car has no more steps. */
const nextStep: Readonly<Record<Status, Step | null>> = {
  scheduled: "started",
  started: "arrived",
  arrived: "contacted",
  delivered: null,
  customerAbsent: "returned",
  returned: null,
  calledOff: null,
};

export const nextStepOf = (transport: Transport): Step | null => nextStep[transport.status];

export type StepRequest = { step: Step; outcome?: Outcome | undefined; receivedBy?: string | undefined };

export type CallOff =
  | { status: "calledOff"; transport: Transport }
  | { status: "refused"; code: "no_such_transport" | "too_late"; message: string };

export type StepResult =
  | { status: "done"; transport: Transport }
  | { status: "refused"; code: "no_such_transport" | "out_of_order"; message: string };

const drivers = ["Marta Ibáñez", "Jorge Salas", "Lucía Prieto", "Andrés Molina"];
const defaultReceiver = "the customer";

/** The carrier's order book. */
export function openTransportBook(parts: { store: PartnerStore; clock: Clock; outbox: () => Outbox }) {
  const { store, clock, outbox } = parts;
  const transports = store.collection("transports", transportSchema, {
    reference: (transport) => transport.reference,
  });

  return {
    get: (id: string) => transports.get(id),
    list: () => transports.list(),
    findByReference: (reference: string) => transports.find("reference", reference),

    /** One transport a reference: the same one again sends no second lorry. */
    schedule(request: NewTransport): { isNew: boolean; transport: Transport } {
      const existing = transports.find("reference", request.reference)[0];
      if (existing !== undefined) return { isNew: false, transport: existing };
      const number = store.nextNumber("transports");
      const { street, postalCode, city } = request.destination;
      const transport: Transport = {
        transportId: `tr_${String(number).padStart(6, "0")}`,
        ...request,
        driver: drivers[number % drivers.length] ?? "",
        route: ["Factory gate 2", "Vehicle logistics centre", `${street}, ${postalCode} ${city}`],
        status: "scheduled",
        receivedBy: null,
      };
      transports.put(transport.transportId, transport);
      return { isNew: true, transport };
    },

    /** The lorry does not drive, or turns round; at the customer's door it is too late. */
    callOff(id: string): CallOff {
      return store.transaction(() => {
        const transport = transports.get(id);
        if (transport === undefined)
          return { status: "refused", code: "no_such_transport", message: `there is no transport ${id}` };
        const { status } = transport;
        if (status !== "scheduled" && status !== "started" && status !== "calledOff")
          return { status: "refused", code: "too_late", message: `the transport is ${status} already` };
        const next: Transport = { ...transport, status: "calledOff" };
        transports.put(id, next);
        return { status: "calledOff", transport: next };
      });
    },

    /** Takes the next step of a transport and tells the platform. */
    take(id: string, { step, outcome = "customerPresent", receivedBy }: StepRequest): StepResult {
      return store.transaction(() => {
        const transport = transports.get(id);
        if (transport === undefined)
          return { status: "refused", code: "no_such_transport", message: `there is no transport ${id}` };
        const due = nextStep[transport.status];
        if (step !== due)
          return {
            status: "refused",
            code: "out_of_order",
            message:
              due === null ? `the transport is ${transport.status}` : `the next step is ${due}, not ${step}`,
          };
        const isPresent = outcome === "customerPresent";
        const reached: Readonly<Record<Step, Status>> = {
          started: "started",
          arrived: "arrived",
          contacted: isPresent ? "delivered" : "customerAbsent",
          returned: "returned",
        };
        const receiver = step === "contacted" && isPresent ? (receivedBy ?? defaultReceiver) : null;
        const next: Transport = { ...transport, status: reached[step], receivedBy: receiver };
        transports.put(id, next);
        const about = { transportId: id, reference: transport.reference, vin: transport.vin };
        const type = `transport.${step}`;
        const data = step === "contacted" ? { ...about, outcome, receivedBy: receiver } : about;
        const body = JSON.stringify({ type, occurredAt: clock.now().toISOString(), data });
        outbox().enqueue({ id: `msg_${randomUUID()}`, subject: id, type, body });
        return { status: "done", transport: next };
      });
    },
  };
}
