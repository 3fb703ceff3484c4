import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "@caas/contract/client/client.ts";
import {
  giveMoneyBack,
  readAnActivation,
  readThePaymentOfAnActivation,
} from "@caas/contract/client/generated.ts";
import { confirmedCard, goodCard, refusedCard } from "@caas/simulator/customers/buyers.ts";
import { openStandIn } from "@caas/simulator/stand-ins/client.ts";
import type { TurnedCard } from "@caas/simulator/stand-ins/gateway/cards.ts";
import { faultsSchema } from "@caas/simulator/stand-ins/shared/faults.ts";
import * as z from "zod";
import { networkError } from "../lab/gateway-books.ts";
import { type GatewayFault, gatewayKnobs, type PaymentFate, type PlannedPurchase } from "./ota-plan.ts";

// What customers, their banks and the gateway's own people do about a payment, by plan.

/** A purchase that was taken. */
export type Bought = Pick<PlannedPurchase, "payment" | "later"> & { activationId: string; owner: Client };

export type CustomersBank = {
  /** The name of a card that does as planned. `index` tells the purchase. */
  issueCard(index: number, fate: PaymentFate): Promise<string>;
  /** The customer is at the bank's page as soon as there is one, and answers, where the plan says so. */
  confirm(activationId: string, fate: PaymentFate, owner: Client): Promise<void>;
  /** Somebody lets the hold go in the gateway's own screens. */
  voidHold(bought: Bought): Promise<void>;
  isPaid(bought: Pick<Bought, "activationId" | "owner">): Promise<boolean>;
  /** Support gives the money of a service back, or the bank takes it, as soon as it is paid. */
  settleLater(bought: Bought, staff: Client): Promise<void>;
  /**
   * Sets the gateway's faults when each is due; the returned function waits for the last one, ends them, and returns
   * how often each was used.
   */
  beginFaults(faults: readonly GatewayFault[]): () => Promise<Record<string, number>>;
  /** Messages that the gateway counts as sent and that never left. */
  countLostWebhooks(): Promise<number>;
};

const lookEveryMs = 250;
/** Beyond the longest time that the gateway is asked in vain. */
const patienceMs = 90_000;

const turnedCards: Partial<Record<PaymentFate, TurnedCard>> = {
  failsForNow: { behaviour: "failForNow", code: networkError, times: 2 },
  losesAnswer: { behaviour: "loseAnswer", times: 1 },
  losesRequest: { behaviour: "loseRequest", times: 1 },
  losesRequestThenRefuses: { behaviour: "loseRequest", times: 1, afterwards: "decline" },
  refusesCapture: { behaviour: "declineCapture" },
};

const namedCards: Partial<Record<PaymentFate, string>> = {
  refuses: refusedCard,
  confirms: confirmedCard,
  refusesToConfirm: confirmedCard,
  forgetsToConfirm: confirmedCard,
};

const webhooksSchema = z.looseObject({ webhooks: z.array(z.looseObject({ status: z.string() })) });
const disputeSchema = z.looseObject({ id: z.string() });

export function openCustomersBank(gatewayUrl: string, signal: AbortSignal): CustomersBank {
  const gateway = openStandIn(gatewayUrl);

  /** @throws Error when it does not come */
  async function waitFor<T>(what: string, look: () => Promise<T | null>): Promise<T> {
    const giveUpAt = performance.now() + patienceMs;
    for (;;) {
      const seen = await look();
      if (seen !== null) return seen;
      if (performance.now() > giveUpAt) throw new Error(`${what} did not come in ${patienceMs} ms`);
      await delay(lookEveryMs, undefined, { signal });
    }
  }

  /** `null`: none is begun yet. */
  async function readPayment(activationId: string, owner: Client) {
    const { payment } = await readAnActivation(activationId, owner);
    return payment === null ? null : readThePaymentOfAnActivation(activationId, owner);
  }

  function paymentIn(status: string, activationId: string, owner: Client) {
    return waitFor(`a payment of ${activationId} that is ${status}`, async () => {
      const payment = await readPayment(activationId, owner);
      return payment?.status === status ? payment : null;
    });
  }

  return {
    async issueCard(index, fate) {
      const turned = turnedCards[fate];
      if (turned === undefined) return namedCards[fate] ?? goodCard;
      const card = `pm_rehearsed_${index}`;
      await gateway.put(`/_control/cards/${card}`, turned);
      return card;
    },
    async confirm(activationId, fate, owner) {
      if (fate !== "confirms" && fate !== "refusesToConfirm") return;
      const page = await waitFor(`a page to confirm ${activationId} at`, async () => {
        const payment = await readPayment(activationId, owner);
        return payment?.confirmation ?? null;
      });
      await fetch(`${page.url}/${fate === "confirms" ? "confirm" : "fail"}`, {
        method: "POST",
        redirect: "manual",
        signal,
      });
    },
    isPaid: async ({ activationId, owner }) =>
      (await readPayment(activationId, owner))?.status === "captured",
    async voidHold({ activationId, owner }) {
      const { id: reference } = await paymentIn("authorised", activationId, owner);
      await gateway.post("/_control/payments", { reference, action: "void" }, z.unknown());
    },
    async settleLater({ activationId, later, owner }, staff) {
      if (later === "kept") return;
      const { id: paymentId, amountCents } = await paymentIn("captured", activationId, owner);
      if (later === "refunded") {
        await giveMoneyBack(paymentId, { amountCents, reason: "the customer changed their mind" }, staff);
        return;
      }
      const { id } = await gateway.post("/_control/disputes", { reference: paymentId }, disputeSchema);
      await waitFor(`the end of ${activationId} by its charge-back`, async () => {
        return (await readAnActivation(activationId, owner)).ended;
      });
      const status = later === "chargedBackInVain" ? "won" : "lost";
      await gateway.put(`/_control/disputes/${id}`, { status });
    },
    async countLostWebhooks() {
      const { webhooks } = await gateway.get("/_control/webhooks", webhooksSchema);
      return webhooks.filter(({ status }) => status === "dropped").length;
    },
    beginFaults(faults) {
      const used: Record<string, number> = Object.fromEntries(gatewayKnobs.map((knob) => [knob, 0]));
      let set: Partial<GatewayFault["knobs"]> = {};
      async function replace(knobs: Partial<GatewayFault["knobs"]>): Promise<void> {
        const left = await gateway.get("/_control/faults", faultsSchema);
        for (const knob of gatewayKnobs)
          used[knob] = (used[knob] ?? 0) + (set[knob]?.count ?? 0) - (left[knob]?.count ?? 0);
        await gateway.put("/_control/faults", knobs);
        set = knobs;
      }
      const playing = (async () => {
        const beganAt = performance.now();
        for (const { afterMs, knobs } of faults) {
          await delay(Math.max(0, beganAt + afterMs - performance.now()), undefined, { signal });
          await replace(knobs);
        }
      })();
      playing.catch(() => undefined);
      return async () => {
        await playing;
        await replace({});
        return used;
      };
    },
  };
}
