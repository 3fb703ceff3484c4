import { readAVehicle } from "@caas/contract/client/generated.ts";
import { arrangeTransport, linkApp, payAndRegister } from "./bring-it-home.ts";
import { awaitBuilding, type BuiltCar, payReservation, registerSale, type Telling } from "./buy-the-car.ts";
import { choosePlan, inventPerson } from "./people.ts";
import { awaitReceipt, browseCatalog, buyService, lastMailId } from "./switch-a-service-on.ts";

/** Where the story leads when all goes well; the words are the specification's states. */
export type StoryEnd = { vehicleState: string; activationState: string; payment: string };

/**
 * From a sale to a paid service switched on in the car. `mark` keeps this customer apart from earlier ones.
 * @param onLinked hears whose car it is as soon as its owner can use it
 */
export async function playHappyStory(
  telling: Telling,
  mark: string,
  now: Date,
  onLinked: (bought: BuiltCar) => void = () => undefined,
): Promise<StoryEnd> {
  const purchase = await registerSale(telling, inventPerson(0, mark), choosePlan(0));
  try {
    await payReservation(telling, purchase);
    const bought = await awaitBuilding(telling, purchase);
    await payAndRegister(telling, bought);
    const delivered = await arrangeTransport(telling, bought, now);
    if (delivered !== "Delivered") throw new Error("the customer of this story should have been at home");
    await linkApp(telling, bought);
    onLinked(bought);

    const offered = await browseCatalog(telling, bought, "heatedSeats");
    const after = await lastMailId(telling, bought);
    const { activationId, state } = await buyService(telling, bought, offered);
    if (state !== "ServiceActive") throw new Error(`the activation ended in ${state}`);
    const activation = await awaitReceipt(telling, bought, activationId, after);
    const vehicle = await readAVehicle(bought.vehicleId, bought.customer);
    return {
      vehicleState: vehicle.state,
      activationState: activation.state,
      payment: activation.payment?.status ?? "none",
    };
  } finally {
    await purchase.feed.stop();
  }
}
