import {
  isPresumptionRule,
  planReconciliation,
  presumptionRules,
} from "../../../rules/presumption-policy.ts";
import { ask, type Change, type Effect, holdOf, inTurn, log, reasonOf, serviceOf, tell } from "../effect.ts";
import {
  askConfirmationJob,
  captureHoldJob,
  chargePaymentJob,
  releaseHoldJob,
  releaseStrayJob,
} from "../jobs.ts";
import { activationOf } from "../payment-rows.ts";
import { closePresumptions, openPresumptions } from "./presumptions.ts";

const withReason = (change: Change) => ({ ...serviceOf(change), reason: reasonOf(change) });
const ofActivation = ({ payment }: Change) => ({ activationId: activationOf(payment) });

/** What the rows of a service's payment cause; the ones that are empty are in the payment's row, or up to the caller. */
export const serviceEffects = {
  settleCapture: {},
  settleVoid: {},
  mayCapture: {},
  mayRelease: {},
  recordWaiting: {},
  // Of sales, too.
  askConfirmation: ask(askConfirmationJob, ({ payment }) => ({ paymentId: payment.id })),

  postHold: { posts: "holdPlaced" },
  postRelease: { posts: "holdReleased" },
  postCapture: { posts: "serviceCaptured" },

  presume: { posts: "paymentPresumed", carryOut: openPresumptions },
  confirmPresumption: { posts: "presumptionEnded", carryOut: closePresumptions("confirmed") },
  compensatePresumption: { posts: "presumptionEnded", carryOut: closePresumptions("compensated") },
  dropPresumption: { posts: "presumptionEnded", carryOut: closePresumptions("dropped") },

  tellAuthorised: tell("servicePaymentAuthorised", holdOf),
  tellConfirmed: tell("servicePaymentConfirmed", holdOf),
  tellPresumed: tell("servicePaymentPresumed", (change) => ({
    ...serviceOf(change),
    reconcileBy: new Date(planReconciliation(change.at.getTime()).reconcileByMs),
  })),
  tellAwaited: tell("servicePaymentAwaited", (change) => {
    const { id, waits_because: rule } = change.payment;
    if (!isPresumptionRule(rule)) throw new Error(`payment ${id} waits for no rule`);
    return { ...serviceOf(change), rule, reason: presumptionRules[rule].refusal };
  }),
  tellRefuted: tell("servicePaymentRefuted", withReason),
  tellDeclined: tell("servicePaymentDeclined", withReason),
  tellVoided: tell("servicePaymentVoided", serviceOf),
  tellHoldGone: tell("serviceHoldLost", withReason),
  tellCaptured: inTurn(
    tell("notificationDue", (change) => ({ row: "NT5", subject: serviceOf(change) })),
    tell("servicePaymentCaptured", serviceOf),
  ),

  reportUnpaid: inTurn(
    tell("taskNeeded", (change) => {
      const { id: paymentId, amount_cents: amountCents } = change.payment;
      const detail = { paymentId, amountCents, reason: reasonOf(change) };
      return { kind: "captureFailed", detail, subject: serviceOf(change) };
    }),
    tell("servicePaymentLost", withReason),
  ),
  logTooLate: log("the opposite was decided for this hold"),

  askForMoney: ask(chargePaymentJob, ({ payment }) => ({ paymentId: payment.id })),
  askCapture: ask(captureHoldJob, ofActivation),
  askRelease: ask(releaseHoldJob, ofActivation),
  askReleaseStray: ask(releaseStrayJob, ({ payment, news }) => {
    const named = "answer" in news ? news.answer.gatewayPaymentId : null;
    const gatewayPaymentId = named ?? payment.gateway_payment_id;
    if (gatewayPaymentId === null) throw new Error(`payment ${payment.id} has no hold to let go`);
    return { paymentId: payment.id, gatewayPaymentId };
  }),
} as const satisfies Record<string, Effect>;
