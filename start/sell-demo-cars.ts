import { arrangeTransport, linkApp, payAndRegister } from "./story/bring-it-home.ts";
import {
  awaitBuilding,
  type BuiltCar,
  payReservation,
  registerSale,
  type Telling,
} from "./story/buy-the-car.ts";
import type { Cast } from "./story/cast.ts";
import { silentNarrator } from "./story/narrate.ts";
import { choosePlan, inventPerson } from "./story/people.ts";
import { runPlainly } from "./story/step.ts";

/** Sales under way at a time: two cores are busy with fewer, and the story beside them still proceeds. */
const soldAtOnce = 8;

/**
 * Sells `count` cars the way every car is sold: over REST, to customers who pay, wait, and link their app.
 * @param onSold hears how many are done
 * @returns the cars, Operational; their feeds are stopped
 * @throws the first failure, after the sales under way have ended
 */
export async function sellDemoCars(
  cast: Cast,
  count: number,
  options: { mark: string; now: () => Date; onSold?: (done: number) => void; signal?: AbortSignal },
): Promise<BuiltCar[]> {
  const telling: Telling = { cast, step: runPlainly, narrator: silentNarrator };
  const sold: BuiltCar[] = [];
  let next = 0;
  const sellInTurn = async () => {
    while (next < count && options.signal?.aborted !== true) {
      next += 1;
      sold.push(await sellOne(telling, next, `${options.mark}-${next}`, options.now()));
      options.onSold?.(sold.length);
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: Math.min(soldAtOnce, count) }, sellInTurn));
  for (const result of settled) if (result.status === "rejected") throw result.reason;
  return sold;
}

async function sellOne(telling: Telling, number: number, mark: string, now: Date): Promise<BuiltCar> {
  const purchase = await registerSale(telling, inventPerson(number, mark), choosePlan(number));
  try {
    await payReservation(telling, purchase);
    const bought = await awaitBuilding(telling, purchase);
    await payAndRegister(telling, bought);
    await arrangeTransport(telling, bought, now);
    await linkApp(telling, bought);
    return bought;
  } finally {
    await purchase.feed.stop();
  }
}
