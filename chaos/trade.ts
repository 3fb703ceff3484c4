import { setTimeout as delay } from "node:timers/promises";
import { RestRefused } from "@caas/contract/client/client.ts";
import { buyAService, cancelAnActivation } from "@caas/contract/client/generated.ts";
import { deriveSeed, seededRandom } from "@caas/simulator/chance/seeded-random.ts";
import { readCommits } from "@caas/simulator/run/commits-file.ts";
import { forEachAtOnce } from "@caas/simulator/run/pace.ts";
import type { ActivationEnds } from "../lab/activation-ends.ts";
import type { Asked } from "./evidence.ts";
import { type OtaPlan, type PlannedPurchase, unansweredFates } from "./ota-plan.ts";
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
const lookEveryMs = 500;
const paidWithinMs = 45_000;
const appliedWithinMs = 90_000;
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
      withdrawnBecause: becauseOf(purchase),
    };
  });

  function carOf(purchase: PlannedPurchase): RehearsedCar {
    const car = rehearsed.cars[purchase.car];
    if (car === undefined) throw new Error(`there is no car ${purchase.car}`);
    return car;
  }

  /** By the car's own record: the platform has not heard of it. A car that is not in reach for long is not waited for. */
  async function hasApplied(vin: string): Promise<void> {
    const giveUpAt = performance.now() + appliedWithinMs;
    while (!readCommits(rehearsed.commitsFile).some((commit) => commit.vin === vin)) {
      if (performance.now() > giveUpAt) return;
      await delay(lookEveryMs, undefined, { signal });
    }
  }

  /**
   * The first purchase of the car began before this one. Where its car is not in reach for long, the bank's silence meets
   * a stranger, which ends the same.
   */
  async function firstIsPaid(car: number): Promise<void> {
    const first = plan.purchases.findIndex((one) => one.car === car && one.service === 0);
    const owner = rehearsed.cars[car]?.owner;
    const giveUpAt = performance.now() + paidWithinMs;
    for (;;) {
      const activationId = asked[first]?.activationId ?? null;
      const isTaken = activationId !== null && owner !== undefined;
      if (isTaken && (await rehearsed.bank.isPaid({ activationId, owner }))) return;
      if (performance.now() > giveUpAt) return;
      await delay(lookEveryMs, undefined, { signal });
    }
  }

  async function buy(index: number, purchase: PlannedPurchase): Promise<void> {
    const car = carOf(purchase);
    const serviceId = rehearsed.services[purchase.service]?.id ?? "";
    const { bank } = rehearsed;
    if (unansweredFates.includes(purchase.payment)) await firstIsPaid(purchase.car);
    const paymentMethod = await bank.issueCard(index, purchase.payment);
    const { id } = await buyAService(car.vehicleId, { serviceId, paymentMethod }, car.owner);
    const request = asked[index];
    if (request !== undefined) request.activationId = id;
    const ended = ends.add(id);
    const { fate } = car;
    await bank.confirm(id, purchase.payment, car.owner);
    if (purchase.cancels === "afterApplying") {
      await hasApplied(car.vin);
      // Its process must keep it away, too, should it start again.
      rehearsed.cutOff([car.vin]);
      await cancelAnActivation(id, {}, car.owner);
      return;
    }
    if (fate.kind === "provesLate") {
      asleep.add(id);
      return;
    }
    if (fate.kind === "sleepsForDays" || fate.kind === "sleepsTooLong") {
      asleep.add(id);
      if (fate.kind === "sleepsForDays" && !fate.beforeBuying) rehearsed.cutOff([car.vin]);
      return;
    }
    if (purchase.cancels === "atRandom") {
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

/** Why a service that was delivered is taken back by plan, as the platform names it. */
function becauseOf({ payment, later }: PlannedPurchase): string | null {
  if (later === "refunded") return "refunded";
  if (later !== "kept") return "chargeBack";
  return payment === "pays" ? null : "lateDecline";
}
