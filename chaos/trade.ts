import { setTimeout as delay } from "node:timers/promises";
import { RestRefused } from "@caas/contract/client/client.ts";
import { buyAService, cancelAnActivation } from "@caas/contract/client/generated.ts";
import { deriveSeed, seededRandom } from "@caas/simulator/chance/seeded-random.ts";
import { goodCard, refusedCard } from "@caas/simulator/customers/buyers.ts";
import { forEachAtOnce } from "@caas/simulator/run/pace.ts";
import type { ActivationEnds } from "../lab/activation-ends.ts";
import type { Asked } from "./evidence.ts";
import type { OtaPlan, PlannedPurchase } from "./ota-plan.ts";
import type { RehearsedCar, RehearsedPlatform } from "./rehearsed-platform.ts";

export type Trade = {
  /** In the order of the plan. */
  asked: Asked[];
  /** Activations of cars that cannot be reached now. */
  asleep: ReadonlySet<string>;
};

/** Purchases under way at one time. */
const underWay = 96;
/** A customer who has waited this long lets the next one begin. */
const patienceMs = 15_000;
/** A customer changes their mind within this time. */
const mindChangedMs = 1_500;

/** Buys everything the plan says, as fast as it is taken, while parts die. */
export async function trade(
  plan: OtaPlan,
  rehearsed: RehearsedPlatform,
  { ends, signal }: { ends: ActivationEnds; signal: AbortSignal },
): Promise<Trade> {
  const asleep = new Set<string>();
  const asked: Asked[] = plan.purchases.map((purchase) => {
    const service = rehearsed.services[purchase.service];
    if (service === undefined) throw new Error(`there is no service ${purchase.service}`);
    return {
      vin: carOf(purchase).vin,
      serviceCode: service.code,
      priceCents: service.priceCents,
      activationId: null,
      end: purchase.end,
    };
  });

  function carOf(purchase: PlannedPurchase): RehearsedCar {
    const car = rehearsed.cars[purchase.car];
    if (car === undefined) throw new Error(`there is no car ${purchase.car}`);
    return car;
  }

  async function buy(index: number, purchase: PlannedPurchase): Promise<void> {
    const car = carOf(purchase);
    const serviceId = rehearsed.services[purchase.service]?.id ?? "";
    const paymentMethod = purchase.cardRefuses ? refusedCard : goodCard;
    const { id } = await buyAService(car.vehicleId, { serviceId, paymentMethod }, car.owner);
    const request = asked[index];
    if (request !== undefined) request.activationId = id;
    const ended = ends.add(id);
    const { fate } = car;
    if (fate.kind === "sleepsForDays" || fate.kind === "sleepsTooLong") {
      asleep.add(id);
      if (fate.kind === "sleepsForDays" && !fate.beforeBuying) rehearsed.cutOff([car.vin]);
      return;
    }
    if (purchase.cancels) {
      await delay(seededRandom(deriveSeed(plan.seed, "cancel", index))() * mindChangedMs, undefined, {
        signal,
      });
      // Too late is a good answer too.
      await cancelAnActivation(id, {}, car.owner).catch((error: unknown) => {
        if (!(error instanceof RestRefused)) throw error;
      });
    }
    await Promise.race([ended, delay(patienceMs, undefined, { signal })]);
  }

  await forEachAtOnce(plan.purchases.entries(), underWay, async ([index, purchase]) => {
    if (!signal.aborted) await buy(index, purchase);
  });
  return { asked, asleep };
}
