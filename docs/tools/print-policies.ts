import { correctionRules } from "@caas/control-plane/rules/buyer-correction.ts";
import {
  defaultFinalPaymentTerms,
  forfeitureRules,
  reminderDaysBefore,
} from "@caas/control-plane/rules/final-payment-policy.ts";
import { applyMarginMs, giveUpMarginMs } from "@caas/control-plane/rules/hold-windows.ts";
import { type PaymentRow, paymentRows, paymentStatuses } from "@caas/control-plane/rules/payment-machine.ts";
import {
  defaultPresumptionLimits,
  firstLookUpMs,
  gatewaySilenceMs,
  lastAskMarginMs,
  longestLookUpMs,
  presumptionRules,
  reconcileWithinMs,
  searchSettlesAfterMs,
} from "@caas/control-plane/rules/presumption-policy.ts";
import { activationRetryPolicy, computeDelayCeiling } from "@caas/control-plane/rules/retry-policy.ts";
import { list, renderTable } from "./markdown.ts";

// The chapters of docs/rules.md about money and time.

export function renderPayments(): string {
  return [
    "## Payments",
    "What a message does to a payment. The settlement says whether a hold is to be taken or let go; it is decided once. Next: `=`, the status stays; `refused`, the request is refused; `never`, it cannot happen, so the transaction rolls back.",
    renderTable(
      ["payment", "status", "settlement", "hears", "next", "effects", "why"],
      paymentRows.map(renderPaymentRow),
    ),
  ].join("\n\n");
}

function renderPaymentRow([kind, status, settlement, heard, next, effects, why = ""]: PaymentRow): string[] {
  return [
    kind,
    nameStatuses(status),
    settlement,
    list(heard),
    next === "same" ? "=" : next,
    list(effects),
    why,
  ];
}

/** Long lists are said by what they leave out. */
function nameStatuses(statuses: string | readonly string[]): string {
  const left = paymentStatuses.filter((status) => !statuses.includes(status));
  return left.length <= 1 ? ["any", ...left].join(" but ") : list(statuses);
}

export function renderPresumption(): string {
  const { maxAmountCents, customerCapCents, totalCapCents } = defaultPresumptionLimits;
  return [
    "## Presumed payments",
    "When the gateway does not answer an authorisation, the payment is presumed to succeed if all of these hold; otherwise it waits, and nothing is delivered.",
    renderTable(
      ["id", "waits because", "reason"],
      Object.entries(presumptionRules).map(([id, row]) => [id, row.refusal, row.reason]),
    ),
    renderTable(
      ["what", "value"],
      [
        ["largest payment that is presumed (unless configured otherwise)", cents(maxAmountCents)],
        ["open at once for one customer (unless configured otherwise)", cents(customerCapCents)],
        ["open at once for all customers (unless configured otherwise)", cents(totalCapCents)],
        ["decided after, at the latest", `${reconcileWithinMs / 3_600_000} h`],
        ["the gateway is asked to pay with the same key until, before that", seconds(lastAskMarginMs)],
        ["first look-up after", seconds(firstLookUpMs)],
        ["longest time between two look-ups", seconds(longestLookUpMs)],
        ["after an unanswered one all others wait", seconds(gatewaySilenceMs)],
        ["one that was given up and is not found counts as nonexistent after", seconds(searchSettlesAfterMs)],
      ],
    ),
  ].join("\n\n");
}

export function renderCorrections(): string {
  return [
    "## Corrections of a sale",
    renderTable(
      ["id", "rule", "reason"],
      Object.entries(correctionRules).map(([id, row]) => [id, row.text, row.reason]),
    ),
  ].join("\n\n");
}

export function renderForfeiture(): string {
  const { tries, deadlineDays } = defaultFinalPaymentTerms;
  return [
    "## The final payment",
    "When an unpaid car is lost, and with it the reservation. Both numbers are configured; their defaults are the specification's.",
    renderTable(
      ["id", "rule", "reason"],
      Object.entries(forfeitureRules).map(([id, row]) => [id, row.text, row.reason]),
    ),
    renderTable(
      ["what", "value"],
      [
        ["refusals with which the car is lost (unless configured otherwise)", String(tries)],
        [
          "days until it is lost unpaid (unless configured otherwise)",
          deadlineDays === 0 ? "no such date" : String(deadlineDays),
        ],
        ["the customer is reminded, days before", reminderDaysBefore.join(", ")],
      ],
    ),
  ].join("\n\n");
}

export function renderNumbers(): string {
  const { retries } = activationRetryPolicy;
  const waits = Array.from({ length: retries }, (_, index) =>
    seconds(computeDelayCeiling(activationRetryPolicy, index + 1)),
  );
  return [
    "## Numbers",
    renderTable(
      ["what", "value"],
      [
        ["attempts of an activation", `1 and ${retries} retries`],
        ["longest wait before each retry (the wait is drawn between zero and this)", waits.join(", ")],
        ["the car stops applying before the hold ends", seconds(applyMarginMs)],
        ["we give the activation up before the hold ends", seconds(giveUpMarginMs)],
      ],
    ),
  ].join("\n\n");
}

function cents(amount: number): string {
  return `${(amount / 100).toFixed(2)} EUR`;
}

function seconds(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${Number((ms / 1_000).toFixed(1))} s`;
}
