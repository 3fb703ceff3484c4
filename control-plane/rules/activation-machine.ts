import { type ActivationGuardId, activationAddedGuards, activationAdditions } from "./additions.ts";
import { type Arrow, arrowsGuardedBy, type Ending } from "./arrow.ts";
import { activationDependencies, activationEdges } from "./dependency-rules.ts";
import { listEvents, listStates } from "./interpreter.ts";
import { activationRetryPolicy, countAttemptsAllowed } from "./retry-policy.ts";
import type { ActivationFacts, Machine } from "./types.ts";

const arrow = arrowsGuardedBy<ActivationGuardId>();

/** The diagram's thirteen arrows between states, as drawn. */
// biome-ignore format: one row a line
export const activationArrows = [
//      id      from                event                  to                  label                       step    tells     waits for
  arrow("SA1",  "start",            "serviceSelected",     "ServiceSelected",  "Customer selects service", "AU12", [],       ["DE12", "AG5"]),
  arrow("SA2",  "ServiceSelected",  "validationStarted",   "MaintenanceCheck", "System validates",         "AU13", [],       ["CE7"]),
  arrow("SA3",  "MaintenanceCheck", "maintenanceCurrent",  "PaymentInitiated", "Maintenance OK",           "AU13", [],       ["DE5"]),
  arrow("SA4",  "MaintenanceCheck", "maintenanceOverdue",  "ServiceDenied",    "Maintenance overdue",      "AU13", ["NT15"]),
  // "Payment successful" (NT5) is told when the money is taken, on the car's proof; here it is only held.
  arrow("SA6",  "PaymentInitiated", "paymentAuthorised",   "OTAQueue",         "Payment successful",       "AU14", [],       ["CE8", "DE11"]),
  arrow("SA7",  "PaymentInitiated", "paymentRejected",     "PaymentFailed",    "Payment rejected",         "AU14"),
  arrow("SA9",  "OTAQueue",         "attemptStarted",      "OTAAttempt",       "Activation started",       "AU15", [],       ["DE6", "CE9", "DE7"]),
  arrow("SA10", "OTAAttempt",       "activationConfirmed", "ServiceActive",    "Activation successful",    "AU15", ["NT10"]),
  arrow("SA11", "OTAAttempt",       "attemptFailed",       "RetryQueue",       "Activation failed",        "AU15"),
  arrow("SA12", "RetryQueue",       "retryStarted",        "OTAAttempt",       "Retry N times",            "AU16", [],       ["DE6", "AG7"]),
  arrow("SA13", "RetryQueue",       "attemptsExhausted",   "TechnicalSupport", "All retries exhausted",    "AU17", ["NT12"], ["AG8"]),
  arrow("SA14", "TechnicalSupport", "ticketCreated",       "CustomerNotified", "Support ticket created",   "AU17", ["NT11"]),
  arrow("SA15", "CustomerNotified", "chargeReleased",      "NoCharge",         "Refund processed",         "AU14"),
];

type ActivationRow = (typeof activationArrows)[number] | (typeof activationAdditions)[number];

/** The twelve states (SS1…SS12). Only the specification's rows make states: an addition may not invent one. */
export type ActivationState = Exclude<(typeof activationArrows)[number]["from" | "to"], "start" | "end">;
export type ActivationEvent = ActivationRow["event"];

/** Paid for, and the next move is the car's to allow: it is told as soon as it is online and has no other change. */
export const waitsForTheCar: readonly ActivationState[] = ["OTAQueue", "RetryQueue"];
/** Paid for, and not decided yet. */
export const underWay: readonly ActivationState[] = ["OTAQueue", "OTAAttempt", "RetryQueue"];

/** The diagram's arrows to [*]: they wait for nothing, so the state they leave is where the process ends. */
// biome-ignore format: one row a line
export const activationEndings: readonly Ending<ActivationState>[] = [
  { id: "SA5",  from: "ServiceDenied", label: "Service unavailable" },
  { id: "SA8",  from: "PaymentFailed", label: "Process terminated" },
  { id: "SA16", from: "NoCharge",      label: "Service not delivered" },
  { id: "SA17", from: "ServiceActive", label: "Service delivered" },
];

const arrows: readonly Arrow<ActivationState, ActivationEvent, ActivationGuardId>[] = [
  ...activationArrows,
  ...activationAdditions,
];

export const activationMachine: Machine<
  ActivationState,
  ActivationEvent,
  ActivationFacts,
  ActivationGuardId
> = {
  name: "activation",
  section: "Operational State Tracking → Service Activation States",
  states: listStates(arrows),
  events: listEvents(arrows),
  arrows,
  endings: activationEndings,
  guards: { ...activationDependencies, ...activationEdges, ...activationAddedGuards },
};

/** The facts of a purchase before it begins. */
export function factsBeforePurchase(
  known: Pick<
    ActivationFacts,
    "vehicleOperational" | "appLinked" | "requesterIsCurrentOwner" | "serviceDependsOnMaintenance"
  >,
): ActivationFacts {
  return {
    ...known,
    maintenanceValidated: false,
    paymentConfirmed: false,
    attemptsUsed: 0,
    attemptsAllowed: countAttemptsAllowed(activationRetryPolicy),
  };
}
