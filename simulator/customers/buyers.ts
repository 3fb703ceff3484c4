import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@caas/contract/backoff.ts";
import { type Client, RestRefused } from "@caas/contract/client/client.ts";
import {
  type Activation,
  browseTheServicesForACar,
  buyAService,
  readAnActivation,
} from "@caas/contract/client/generated.ts";
import { drawExponential } from "../chance/draw.ts";
import { type Random, seededRandom } from "../chance/seeded-random.ts";
import type { Change, ChangeLog } from "../measure/change-log.ts";
import { createLatencies, type Latencies } from "../measure/latencies.ts";
import type { Outcomes } from "../run/outcomes.ts";
import { aborted, beginWhenDue, nowMs, until } from "../run/pace.ts";
import type { Arrival } from "../run/plan-steps.ts";
import type { Owner } from "../run/world.ts";
import type { Accounts } from "./accounts.ts";

// Customers arrive at random, independent of how long the platform takes (open loop).

export type BuyersOptions = {
  accounts: Accounts;
  /** Grows while cars are sold. */
  owners: readonly Owner[];
  changeLog: ChangeLog;
  outcomes: Outcomes;
  signal: AbortSignal;
};

export type Arrivals = {
  name: string;
  arrivals: readonly Arrival[];
  thinkMs: number;
  badCards: number;
  /** No customer arrives any more. */
  noMore: AbortSignal;
};

/** What customers experienced. */
export type CustomerCounts = {
  arrived: number;
  bought: number;
  /** Nothing was left to sell for this car, or every owner was busy. */
  nothingToBuy: number;
  /** The maintenance check or the card refused: the platform did as it should. */
  denied: Record<string, number>;
  /** The platform refused or did not answer, by code. */
  refused: Record<string, number>;
};

export type Buyers = {
  /** Resolves when the last customer of these has come; they are served in time. */
  receive(arrivals: Arrivals): Promise<void>;
  /** Resolves when every customer who has come is served to the end, or when told. */
  untilServed(patience: AbortSignal): Promise<void>;
  readonly counts: CustomerCounts;
  /** Of every call over REST, signing in included. */
  readonly restLatencies: Latencies;
  /** Of the calls that ask the workshops. */
  readonly maintenanceLatencies: Latencies;
};

export const goodCard = "pm_card_visa";
export const refusedCard = "pm_card_chargeDeclined";
/** Its bank wants the customer to confirm each payment (3-D Secure). */
export const confirmedCard = "pm_card_threeDSecure2Required";

const endsWell = "ServiceActive";
/** Ends caused by the customer or the workshops: no failed delivery. */
const denials: ReadonlySet<string> = new Set(["ServiceDenied", "PaymentFailed"]);
const endsBadly = "NoCharge";
/** Nothing goes to a car before the workshops and the card have said yes. */
const undecided: ReadonlySet<string> = new Set(["ServiceSelected", "MaintenanceCheck", "PaymentInitiated"]);

/** How often an activation is read while its car says nothing; it is read at once when the car reports. */
const lookEveryMs = 2_000;
/** Between reads right after the car's report, which the platform must take in first. */
const lookSoonMs = [4, 4, 8, 16, 32, 64, 128, 256, 512];

/** With waits of up to one, two, four … seconds: about two minutes in all. */
const lookTries = 8;

export function openBuyers(options: BuyersOptions): Buyers {
  const { accounts, changeLog, outcomes, signal } = options;
  const busy = new Set<string>();
  const underWay = new Set<Promise<void>>();
  const emptied = new Set<string>();
  const { restLatencies } = accounts;
  const maintenanceLatencies = createLatencies();
  const counts: CustomerCounts = { arrived: 0, bought: 0, nothingToBuy: 0, denied: {}, refused: {} };
  const countOne = (by: Record<string, number>, name: string): void => {
    by[name] = (by[name] ?? 0) + 1;
  };

  async function timed<T>(call: () => Promise<T>, also?: Latencies): Promise<T> {
    const startedMs = performance.now();
    const answer = await call();
    const ms = performance.now() - startedMs;
    restLatencies.record(ms);
    also?.record(ms);
    return answer;
  }

  function chooseOwner(random: Random): Owner | undefined {
    const { owners } = options;
    const start = Math.floor(random() * owners.length);
    for (let step = 0; step < owners.length; step += 1) {
      const owner = owners[(start + step) % owners.length];
      if (owner !== undefined && !busy.has(owner.vin) && !emptied.has(owner.vin)) return owner;
    }
    return undefined;
  }

  async function serve(owner: Owner, arrivals: Arrivals, random: Random, arrivedMs: number): Promise<void> {
    const client = await accounts.clientOf(owner);
    const { services } = await timed(
      () => browseTheServicesForACar(owner.vehicleId, client),
      maintenanceLatencies,
    );
    const offered = services.filter(({ standing, advice }) => standing === "available" && advice.eligible);
    const chosen = offered[Math.floor(random() * offered.length)];
    if (chosen === undefined) {
      emptied.add(owner.vin);
      counts.nothingToBuy += 1;
      return;
    }
    const thinkMs = drawExponential(random, arrivals.thinkMs);
    // The customer's thinking is not the platform's time; its earlier answers are.
    const intendedMs = arrivedMs + thinkMs + (nowMs() - arrivedMs);
    if (!(await until(intendedMs, signal))) return;
    const paymentMethod = random() < arrivals.badCards ? refusedCard : goodCard;
    const bought = await timed(() =>
      buyAService(owner.vehicleId, { serviceId: chosen.id, paymentMethod }, client),
    );
    counts.bought += 1;
    await follow(bought.id, owner, client, { wave: arrivals.name, intendedMs, random });
  }

  /** Looks until it has ended. It counts as sent once its price is held. */
  async function follow(
    activationId: string,
    { vin }: Owner,
    client: Client,
    { wave, intendedMs, random }: { wave: string; intendedMs: number; random: Random },
  ): Promise<void> {
    const bell = createBell();
    const unwatch = outcomes.watch(vin, bell.ring);
    let change: Change | null = null;
    let look = lookSoonMs.length;
    try {
      while (true) {
        const activation = await readPatiently(activationId, client, random);
        if (denials.has(activation.state)) {
          countOne(counts.denied, activation.endReason ?? activation.state);
          return;
        }
        if (!undecided.has(activation.state))
          change ??= changeLog.begin({ wave, kind: "purchase", vin, intendedMs });
        if (change !== null && tellEnd(change, activation)) return;
        look = await bell.wait(lookSoonMs[look] ?? lookEveryMs, look);
        if (signal.aborted) return;
      }
    } finally {
      unwatch();
    }
  }

  /** A customer who gets no answer tries again, later each time, and gives up in the end. */
  async function readPatiently(activationId: string, client: Client, random: Random): Promise<Activation> {
    for (let tries = 1; ; tries += 1)
      try {
        return await readAnActivation(activationId, client);
      } catch (error) {
        if (tries === lookTries || signal.aborted) throw error;
        await delay(backoffMs(tries, random), undefined, { signal, ref: false });
      }
  }

  /** Records what is new in the change log. @returns whether that was the end */
  function tellEnd(change: Change, { attempts, state, endReason }: Activation): boolean {
    const ended = attempts.filter(({ result }) => result === "applied" || result === "failed");
    for (const { result, reason } of ended.slice(change.attempts))
      changeLog.attemptEnded(
        change,
        result === "applied" ? { result } : { result: "failed", reason: reason ?? "unknown" },
      );
    if (state === endsWell) changeLog.end(change, { result: "applied", atMs: nowMs() });
    else if (state === endsBadly)
      changeLog.end(change, { result: "failed", atMs: nowMs(), reason: endReason ?? endsBadly });
    else return false;
    return true;
  }

  async function welcome(arrivals: Arrivals, random: Random, arrivedMs: number): Promise<void> {
    counts.arrived += 1;
    const owner = chooseOwner(random);
    if (owner === undefined) {
      counts.nothingToBuy += 1;
      return;
    }
    busy.add(owner.vin);
    try {
      await serve(owner, arrivals, random, arrivedMs);
    } catch (error) {
      if (!signal.aborted) countOne(counts.refused, codeOf(error));
    } finally {
      busy.delete(owner.vin);
    }
  }

  return {
    counts,
    restLatencies,
    maintenanceLatencies,
    async receive(arrivals) {
      await beginWhenDue(arrivals.arrivals, arrivals.noMore, ({ seed }, dueMs) => {
        // Each has a chance of their own, so that no answer that comes late changes what another one does.
        const served: Promise<void> = welcome(arrivals, seededRandom(seed), dueMs).finally(() =>
          underWay.delete(served),
        );
        underWay.add(served);
      });
    },
    async untilServed(patience) {
      await Promise.race([Promise.all(underWay), aborted(patience)]);
    },
  };
}

function codeOf(error: unknown): string {
  if (error instanceof RestRefused) return error.problem.code;
  if (error instanceof DOMException) return "no answer in time";
  return "not reachable";
}

type Bell = {
  ring(): void;
  /** @returns which look comes next: the first after a ring, else the one after `look` */
  wait(ms: number, look: number): Promise<number>;
};

/** Wakes a sleeper early. */
function createBell(): Bell {
  let rung = false;
  let sleeper: AbortController | null = null;
  return {
    ring() {
      rung = true;
      sleeper?.abort();
    },
    async wait(ms, look) {
      if (!rung) {
        sleeper = new AbortController();
        await delay(ms, undefined, { signal: sleeper.signal, ref: false }).catch(() => undefined);
        sleeper = null;
      }
      const next = rung ? 0 : look + 1;
      rung = false;
      return next;
    },
  };
}
