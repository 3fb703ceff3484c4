import * as z from "zod";
import { type BuiltCar, goodCard, type Telling } from "./buy-the-car.ts";
import type { FeedStep } from "./feed.ts";
import { awaitMail, beforeFirstMessage, readMails } from "./inbox.ts";

// Chapter three: a service is chosen, checked, held, sent to the car, proved by it and paid.

export const finalStates = ["ServiceActive", "ServiceDenied", "PaymentFailed", "NoCharge"] as const;
export type FinalState = (typeof finalStates)[number];

export type Offered = { serviceId: string; name: string };

const catalogSchema = z.object({
  services: z.array(
    z.object({
      id: z.string(),
      code: z.string(),
      name: z.string(),
      priceCents: z.int(),
      standing: z.enum(["available", "pending", "active"]),
      advice: z.object({ eligible: z.boolean(), reason: z.string() }),
    }),
  ),
});

export async function browseCatalog(
  { step, narrator }: Telling,
  { customer, vehicleId, person }: Pick<BuiltCar, "customer" | "vehicleId" | "person">,
  wantedCode: string,
): Promise<Offered> {
  return step({
    name: "catalogue",
    actor: "customer",
    async run() {
      const { services } = await customer.get(`/api/vehicles/${vehicleId}/catalog`, catalogSchema);
      const wanted = services.find(({ code, standing }) => code === wantedCode && standing === "available");
      if (wanted === undefined) throw new Error(`${wantedCode} is not offered for this car`);
      narrator.act(
        "customer",
        `${person.name} looks through ${services.length} services and picks ${wanted.name}`,
      );
      return { serviceId: wanted.id, name: wanted.name };
    },
  });
}

const activationSchema = z.object({
  id: z.string(),
  state: z.string(),
  payment: z.object({ id: z.string(), status: z.string() }).nullable(),
  attempts: z.array(z.object({ attempt: z.int(), result: z.string().nullable() })),
  endReason: z.string().nullable(),
});
export type ActivationRecord = z.infer<typeof activationSchema>;

export type Activation = { activationId: string; end: FeedStep; state: FinalState };

/** Buys, and follows the activation to its end, whichever it is. */
export async function buyService(
  { step }: Telling,
  bought: BuiltCar,
  offered: Offered,
  paymentMethod: string = goodCard,
  timeoutMs?: number,
): Promise<Activation> {
  const { customer, vehicleId, feed } = bought;
  const activationId = await step({
    name: "purchase",
    actor: "customer",
    async run() {
      const body = { serviceId: offered.serviceId, paymentMethod };
      const path = `/api/vehicles/${vehicleId}/activations`;
      return (await customer.post(path, body, z.object({ id: z.string() }))).id;
    },
  });
  return step({
    name: "activation",
    actor: "car",
    async run() {
      const end = await feed.until(
        "the end of the activation",
        (found) => found.activationId === activationId && isFinal(found.to),
        timeoutMs,
      );
      if (!isFinal(end.to)) throw new Error(`${end.to} is no end of an activation`);
      return { activationId, end, state: end.to };
    },
  });
}

function isFinal(state: string | null): state is FinalState {
  return finalStates.some((final) => final === state);
}

/** The receipt comes after the capture, so the mail is what says that the money was taken. */
export async function awaitReceipt(
  { world, step, narrator }: Telling,
  { customer, person }: BuiltCar,
  activationId: string,
  after: string,
): Promise<ActivationRecord> {
  return step({
    name: "capture",
    actor: "platform",
    async run() {
      const mail = await awaitMail(world.partners.inbox, {
        to: person.email,
        subject: "Payment received",
        after,
      });
      narrator.act("customer", `${person.name} finds "${mail.subject}" in the inbox: the hold was captured`);
      return readActivation(customer, activationId);
    },
  });
}

export async function readActivation(
  client: BuiltCar["customer"],
  activationId: string,
): Promise<ActivationRecord> {
  return client.get(`/api/activations/${activationId}`, activationSchema);
}

/** The newest mail to this customer: what comes later is news. */
export async function lastMailId({ world }: Telling, { person }: BuiltCar): Promise<string> {
  return (await readMails(world.partners.inbox, person.email)).at(-1)?.id ?? beforeFirstMessage;
}
