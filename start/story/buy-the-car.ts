import type { Client } from "@caas/contract/client/client.ts";
import { payTheReservation, registerASale } from "@caas/contract/client/generated.ts";
import { enrolmentPackageSchema } from "@caas/contract/enrolment.ts";
import { awaitMail, readCredentials } from "@caas/simulator/stand-ins/inbox/read-mails.ts";
import * as z from "zod";
import type { Login } from "../demo-staff.ts";
import { type Car, type Cast, signIn } from "./cast.ts";
import { type Feed, followSteps } from "./feed.ts";
import type { Narrator } from "./narrate.ts";
import type { Person, PlanChoice } from "./people.ts";
import type { RunStep } from "./step.ts";

// Chapter one: from the sale to a car that is built and waits for its final payment.

/** What the dealership knows after a sale. */
export type Sale = { expedienteId: string; vehicleId: string; reference: string; feed: Feed };

/** A sale whose customer has signed in. */
export type Purchase = Sale & { person: Person; login: Login; customer: Client };

export type BuiltCar = Purchase & { car: Car };

export type Telling = { cast: Cast; step: RunStep; narrator: Narrator };

export const goodCard = "pm_card_visa";
export const refusedCard = "pm_card_chargeDeclined";
/** Its bank wants the customer to confirm each payment (3-D Secure). */
export const confirmedCard = "pm_card_threeDSecure2Required";

/** Staff register the sale; the credentials come by mail, and the customer signs in with them (LF1). */
export async function registerSale(telling: Telling, person: Person, plan: PlanChoice): Promise<Purchase> {
  const { cast, step, narrator } = telling;
  const sale = await step({
    name: "sale",
    actor: "staff",
    async run(): Promise<Sale> {
      const { expediente } = await registerASale({ customer: person, planComercial: plan }, cast.sales);
      const feed = followSteps(cast.sales, expediente.id, narrator.step);
      await feed.until("the registered sale", ({ event }) => event === "saleRegistered");
      const { id: expedienteId, reference, vehicle } = expediente;
      return { expedienteId, reference, vehicleId: vehicle.id, feed };
    },
  });
  const login = await step({
    name: "credentials",
    actor: "platform",
    async run() {
      const mail = await awaitMail(cast.partners.inbox, { to: person.email, subject: sale.reference });
      await sale.feed.until("the credentials' mail", ({ event }) => event === "credentialsMailed");
      narrator.act("customer", `${person.name} reads "${mail.subject}" in the inbox`);
      return readCredentials(mail);
    },
  });
  const customer = await step({
    name: "sign-in",
    actor: "customer",
    async run() {
      const client = await signIn(cast.rest, login);
      narrator.act("customer", `${person.name} signs in with the mailed password`);
      return client;
    },
  });
  return { ...sale, person, login, customer };
}

/** The customer pays the reservation, and the factory order follows unaided (LF2). */
export async function payReservation({ step }: Telling, purchase: Purchase): Promise<void> {
  const { customer, expedienteId, feed } = purchase;
  await step({
    name: "reservation",
    actor: "customer",
    async run() {
      await payTheReservation(expedienteId, { paymentMethod: goodCard }, customer);
      await feed.until("the reservation", ({ event }) => event === "reservationPaid");
    },
  });
  await step({
    name: "factory-order",
    actor: "platform",
    run: () => feed.until("the factory order", ({ to }) => to === "Ordered"),
  });
}

/** The factory builds and installs the enrolment package; the car wakes up and reports (LF3, LF4). */
export async function awaitBuilding(
  { cast, step, narrator }: Telling,
  purchase: Purchase,
): Promise<BuiltCar> {
  const { feed } = purchase;
  const given = await step({
    name: "vin",
    actor: "factory",
    async run() {
      const { detail } = await feed.until("the VIN", ({ event }) => event === "vinAssigned");
      const { vin } = z.looseObject({ vin: z.string() }).parse(detail);
      return cast.partners.factory.get(`/_control/enrolments?vin=${vin}`, enrolmentPackageSchema);
    },
  });
  const car = await step({
    name: "enrolment",
    actor: "car",
    async run() {
      const woken = await cast.wakeCar(given);
      narrator.act("factory", `The factory installs the enrolment package in ${given.vin}; the car enrols`);
      return woken;
    },
  });
  await step({
    name: "ready",
    actor: "factory",
    run: () => feed.until("the finished car", ({ to }) => to === "PaymentPending"),
  });
  return { ...purchase, car };
}
