import { businessDay } from "@caas/contract/business-day.ts";
import * as rest from "@caas/contract/client/generated.ts";
import { dayMs } from "@caas/contract/durations.ts";
import { readScreen } from "../car-folders.ts";
import { type BuiltCar, goodCard, type Telling } from "./buy-the-car.ts";

// Chapter two: paid, registered, brought to the door, and linked to the customer's app.

/** Pays the rest and waits for the plate (DE2). */
export async function payAndRegister({ step }: Telling, bought: BuiltCar): Promise<void> {
  const { feed } = bought;
  await step({
    name: "final-payment",
    actor: "customer",
    async run() {
      await startFinalPayment(bought, goodCard);
      await feed.until("the final payment", ({ event }) => event === "finalPaymentReceived");
    },
  });
  await step({
    name: "registration",
    actor: "platform",
    run: () => feed.until("the registration", ({ to }) => to === "Registered"),
  });
}

export async function startFinalPayment(
  { customer, expedienteId }: BuiltCar,
  paymentMethod: string,
): Promise<void> {
  await rest.payTheRest(expedienteId, { paymentMethod }, customer);
}

/** Staff arrange the transport; the carrier tells the rest, to the door or back to the dealership (LF7). */
export async function arrangeTransport(
  { cast, step }: Telling,
  { expedienteId, feed }: BuiltCar,
  now: Date,
): Promise<"Delivered" | "AtDealership"> {
  await step({
    name: "transport",
    actor: "staff",
    async run() {
      const date = businessDay(new Date(now.getTime() + dayMs));
      await rest.arrangeTransport(expedienteId, { date }, cast.sales);
      await feed.until("the arranged transport", ({ to }) => to === "InTransit");
    },
  });
  return step({
    name: "delivery",
    actor: "carrier",
    async run() {
      await feed.until("the carrier at the door", ({ to }) => to === "DeliveryAttempt");
      const { to } = await feed.until("the contact", ({ from }) => from === "DeliveryAttempt");
      if (to === "Delivered" || to === "AtDealership") return to;
      throw new Error(`the delivery attempt ended in ${to}`);
    },
  });
}

/** The car shows a code, the customer types it into the app, and the first manifest arrives (LF8, DE4). */
export async function linkApp({ step, narrator }: Telling, bought: BuiltCar): Promise<void> {
  const { customer, vehicleId, feed, car, person } = bought;
  const code = await step({
    name: "link-code",
    actor: "car",
    async run() {
      await rest.showALinkingCodeInTheCar(vehicleId, {}, customer);
      const shown = await readScreen(
        car.folder,
        ([newest]) => (newest?.content.kind === "linkingCode" ? newest.content.code : undefined),
        20_000,
      );
      narrator.act("customer", `${person.name} reads the code ${shown} on the car's own screen`);
      return shown;
    },
  });
  await step({
    name: "link",
    actor: "customer",
    async run() {
      const { outcome } = await rest.linkTheAppToTheCar(vehicleId, { code }, customer);
      if (outcome !== "linked") throw new Error(`the code was answered with ${outcome}`);
      await feed.until("the operational car", ({ to }) => to === "Operational");
    },
  });
  await step({
    name: "first-manifest",
    actor: "car",
    run: () => feed.until("the proof of the first manifest", ({ event }) => event === "planApplied"),
  });
}
