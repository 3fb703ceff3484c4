import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { deriveSeed, seededRandom } from "@caas/simulator/link/seeded-random.ts";
import * as z from "zod";
import type { ActivationEnds } from "./activation-ends.ts";
import type { Rest } from "./customers.ts";
import type { Asked } from "./evidence.ts";
import type { OtaPlan, PlannedPurchase } from "./ota-plan.ts";
import type { CarInWorld, World } from "./world.ts";

export type Trade = {
  /** In the order of the plan. */
  asked: Asked[];
  /** Activations of cars that cannot be reached now. */
  asleep: ReadonlySet<string>;
};

/** Purchases under way at one time. */
const underWay = 96;
/** Whoever waits longer for one of them lets the next begin. */
const patienceMs = 15_000;
/** A customer changes their mind within so long. */
const mindChangedMs = 1_500;

const activationSchema = z.object({ id: z.uuid() });

/** Buys everything the plan says, as fast as it is taken, while parts die. */
export async function trade(
  plan: OtaPlan,
  world: World,
  parts: { rest: Rest; ends: ActivationEnds; signal: AbortSignal },
): Promise<Trade> {
  const { rest, ends, signal } = parts;
  const asleep = new Set<string>();
  const asked: Asked[] = plan.purchases.map((purchase) => {
    const service = world.services[purchase.service];
    if (service === undefined) throw new Error(`there is no service ${purchase.service}`);
    return {
      vin: carOf(purchase).vin,
      serviceCode: service.code,
      priceCents: service.priceCents,
      activationId: null,
      end: purchase.end,
    };
  });

  function carOf(purchase: PlannedPurchase): CarInWorld {
    const car = world.cars[purchase.car];
    if (car === undefined) throw new Error(`there is no car ${purchase.car}`);
    return car;
  }

  async function buy(index: number, purchase: PlannedPurchase): Promise<void> {
    const car = carOf(purchase);
    const body = {
      serviceId: world.services[purchase.service]?.id,
      paymentMethod: purchase.cardRefuses ? "pm_card_chargeDeclined" : "pm_card_visa",
    };
    const path = `/api/vehicles/${car.vehicleId}/activations`;
    const answer = await rest.post(path, car.token, randomUUID(), body);
    const request = asked[index];
    if (answer.kind === "refused" || request === undefined)
      throw new Error(`${car.vin} may not buy: ${answer.kind === "refused" ? answer.detail : "unknown"}`);
    const { id } = activationSchema.parse(answer.body);
    request.activationId = id;
    ends.add(id);
    const { fate } = car;
    if (fate.kind === "sleepsForDays" || fate.kind === "sleepsTooLong") {
      asleep.add(id);
      if (fate.kind === "sleepsForDays" && !fate.beforeBuying)
        world.tell({ kind: "cutOff", vins: [car.vin] });
      return;
    }
    if (purchase.cancels) {
      await delay(seededRandom(deriveSeed(plan.seed, "cancel", index))() * mindChangedMs, undefined, {
        signal,
      });
      // Too late is a good answer too.
      await rest.post(`/api/activations/${id}/cancellation`, car.token, randomUUID(), {});
    }
    await ends.until(id, patienceMs);
  }

  const left = plan.purchases.entries();
  async function work(): Promise<void> {
    for (const [index, purchase] of left) {
      if (signal.aborted) return;
      await buy(index, purchase);
    }
  }
  await Promise.all(Array.from({ length: underWay }, work));
  return { asked, asleep };
}
