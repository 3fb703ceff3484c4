import {
  type Activation,
  browseTheServicesForACar,
  buyAService,
  readAnActivation,
  type Step,
} from "@caas/contract/client/generated.ts";
import { awaitMail, beforeFirstMessage, readMails } from "@caas/simulator/stand-ins/inbox/read-mails.ts";
import { type BuiltCar, goodCard, type Telling } from "./buy-the-car.ts";

// Chapter three: a service is chosen, checked, held, sent to the car, proved by it and paid.

export const finalStates = ["ServiceActive", "ServiceDenied", "PaymentFailed", "NoCharge"] as const;
export type FinalState = (typeof finalStates)[number];

export type Offered = { serviceId: string; name: string };

export async function browseCatalog(
  { step, narrator }: Telling,
  { customer, vehicleId, person }: Pick<BuiltCar, "customer" | "vehicleId" | "person">,
  wantedCode: string,
): Promise<Offered> {
  return step({
    name: "catalogue",
    actor: "customer",
    async run() {
      const { services } = await browseTheServicesForACar(vehicleId, customer);
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

export type EndedActivation = { activationId: string; end: Step; state: FinalState };

/** Buys, and follows the activation to its end, whichever it is. */
export async function buyService(
  { step }: Telling,
  bought: BuiltCar,
  offered: Offered,
  paymentMethod: string = goodCard,
  timeoutMs?: number,
): Promise<EndedActivation> {
  const { customer, vehicleId, feed } = bought;
  const activationId = await step({
    name: "purchase",
    actor: "customer",
    async run() {
      return (await buyAService(vehicleId, { serviceId: offered.serviceId, paymentMethod }, customer)).id;
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
  { cast, step, narrator }: Telling,
  { customer, person }: BuiltCar,
  activationId: string,
  after: string,
): Promise<Activation> {
  return step({
    name: "capture",
    actor: "platform",
    async run() {
      const mail = await awaitMail(cast.partners.inbox, {
        to: person.email,
        subject: "Payment received",
        after,
      });
      narrator.act("customer", `${person.name} finds "${mail.subject}" in the inbox: the hold was captured`);
      return readAnActivation(activationId, customer);
    },
  });
}

/** The newest mail to this customer: what comes later is news. */
export async function lastMailId({ cast }: Telling, { person }: BuiltCar): Promise<string> {
  return (await readMails(cast.partners.inbox, person.email)).at(-1)?.id ?? beforeFirstMessage;
}
