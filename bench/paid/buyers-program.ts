import { createClient, RestRefused } from "@caas/contract/client/client.ts";
import { buyAService } from "@caas/contract/client/generated.ts";
import { serveCalls } from "@caas/simulator/processes/serve-calls.ts";
import { beginWhenDue, forEachAtOnce, nowMs } from "@caas/simulator/run/pace.ts";
import { watchActivationEnds } from "../../lab/activation-ends.ts";
import { createLightFetch } from "../../lab/light-fetch.ts";
import { type Bought, commandSchema, type Load, type Purchase, type SetUp } from "./buyers-process.ts";

// Buys over REST as customers do, each in the session of the car's owner.

/** Nothing in the figures rests on it: the times are the database's. */
const lookEveryMs = 100;
/** Nothing ended for so long: what is still under way is given up and reported as it stands. */
const silenceMs = 30_000;
const silenceInHurryMs = 3_000;
const paymentMethod = "pm_card_visa";

const hurrying = new AbortController();

function openBuying({ rest, databaseUrl, buyers, serviceIds }: SetUp) {
  const client = createClient({ baseUrl: rest, fetch: createLightFetch() });
  const ends = watchActivationEnds({
    databaseUrl,
    lookEveryMs,
    withPayment: true,
    silenceMs: () => (hurrying.signal.aborted ? silenceInHurryMs : silenceMs),
  });
  /** The buyers take turns, and each buys the next service. */
  let next = 0;

  return async function buy(count: number, load: Load): Promise<Bought> {
    const purchases: Purchase[] = [];
    const refused: Record<string, number> = {};
    const startedMs = nowMs();

    async function buyOne(intendedMs: number): Promise<void> {
      const buyer = buyers[next % buyers.length];
      const serviceId = serviceIds[Math.floor(next / buyers.length)];
      next += 1;
      if (buyer === undefined || serviceId === undefined)
        throw new Error("the catalogue has no service left for this car");
      const { vehicleId, token } = buyer;
      try {
        const { id } = await buyAService(vehicleId, { serviceId, paymentMethod }, { ...client, token });
        purchases.push({ ...(await ends.add(id)), serviceId, intendedMs });
      } catch (error) {
        if (!(error instanceof RestRefused)) throw error;
        refused[error.problem.status] = (refused[error.problem.status] ?? 0) + 1;
      }
    }

    if (load.kind === "underWay") {
      await forEachAtOnce(Array.from({ length: count }), load.underWay, async () => {
        if (!hurrying.signal.aborted) await buyOne(nowMs());
      });
    } else {
      const underWay: Promise<void>[] = [];
      const arrivals = Array.from({ length: count }, (_, index) => ({
        afterMs: (index / load.perSecond) * 1000,
      }));
      await beginWhenDue(arrivals, hurrying.signal, (_, dueMs) => void underWay.push(buyOne(dueMs)));
      await Promise.all(underWay);
    }
    return { purchases, refused, startedMs, endedMs: nowMs() };
  };
}

let buy: ReturnType<typeof openBuying> | null = null;

serveCalls(commandSchema, async (command) => {
  switch (command.kind) {
    case "setUp":
      buy = openBuying(command);
      return;
    case "buy":
      return buy?.(command.count, command.load);
    case "hurry":
      return hurrying.abort();
    case "stop":
      return;
  }
});
