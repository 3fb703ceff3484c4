import { type ActivationGuardId, activationAddedGuards, activationAdditions } from "./additions.ts";
import { activationDependencies, activationEdges } from "./dependency-rules.ts";
import { listEvents, listStates } from "./interpreter.ts";
import type { ActivationFacts, Arrow, Ending, Machine } from "./types.ts";

const section = "Operational State Tracking → Service Activation States";

/** The diagram's thirteen arrows between states, as drawn. */
export const activationArrows = [
  {
    id: "SA1",
    label: "Customer selects service",
    from: "start",
    event: "serviceSelected",
    to: "ServiceSelected",
    guards: ["DE12", "AG5"],
    automation: "AU12",
    notifies: [],
    section,
  },
  {
    id: "SA2",
    label: "System validates",
    from: "ServiceSelected",
    event: "validationStarted",
    to: "MaintenanceCheck",
    guards: ["CE7"],
    automation: "AU13",
    notifies: [],
    section,
  },
  {
    id: "SA3",
    label: "Maintenance OK",
    from: "MaintenanceCheck",
    event: "maintenanceCurrent",
    to: "PaymentInitiated",
    guards: ["DE5"],
    automation: "AU13",
    notifies: [],
    section,
  },
  {
    id: "SA4",
    label: "Maintenance overdue",
    from: "MaintenanceCheck",
    event: "maintenanceOverdue",
    to: "ServiceDenied",
    guards: [],
    automation: "AU13",
    notifies: ["NT15"],
    section,
  },
  {
    id: "SA6",
    label: "Payment successful",
    from: "PaymentInitiated",
    event: "paymentAuthorised",
    to: "OTAQueue",
    guards: ["CE8", "DE11"],
    automation: "AU14",
    // "Payment successful" (NT5) is told when the money is taken, on the car's proof; here it is only held.
    notifies: [],
    section,
  },
  {
    id: "SA7",
    label: "Payment rejected",
    from: "PaymentInitiated",
    event: "paymentRejected",
    to: "PaymentFailed",
    guards: [],
    automation: "AU14",
    notifies: [],
    section,
  },
  {
    id: "SA9",
    label: "Activation started",
    from: "OTAQueue",
    event: "attemptStarted",
    to: "OTAAttempt",
    guards: ["DE6", "CE9", "DE7"],
    automation: "AU15",
    notifies: [],
    section,
  },
  {
    id: "SA10",
    label: "Activation successful",
    from: "OTAAttempt",
    event: "activationConfirmed",
    to: "ServiceActive",
    guards: [],
    automation: "AU15",
    notifies: ["NT10"],
    section,
  },
  {
    id: "SA11",
    label: "Activation failed",
    from: "OTAAttempt",
    event: "attemptFailed",
    to: "RetryQueue",
    guards: [],
    automation: "AU15",
    notifies: [],
    section,
  },
  {
    id: "SA12",
    label: "Retry N times",
    from: "RetryQueue",
    event: "retryStarted",
    to: "OTAAttempt",
    guards: ["DE6", "AG7"],
    automation: "AU16",
    notifies: [],
    section,
  },
  {
    id: "SA13",
    label: "All retries exhausted",
    from: "RetryQueue",
    event: "attemptsExhausted",
    to: "TechnicalSupport",
    guards: ["AG8"],
    automation: "AU17",
    notifies: ["NT12"],
    section,
  },
  {
    id: "SA14",
    label: "Support ticket created",
    from: "TechnicalSupport",
    event: "ticketCreated",
    to: "CustomerNotified",
    guards: [],
    automation: "AU17",
    notifies: ["NT11"],
    section,
  },
  {
    id: "SA15",
    label: "Refund processed",
    from: "CustomerNotified",
    event: "chargeReleased",
    to: "NoCharge",
    guards: [],
    automation: "AU14",
    notifies: [],
    section,
  },
] as const satisfies readonly Arrow<string, string, ActivationGuardId>[];

type ActivationRow = (typeof activationArrows)[number] | (typeof activationAdditions)[number];

/** The twelve states (SS1…SS12). Only the specification's rows make states: an addition may not invent one. */
export type ActivationState = Exclude<(typeof activationArrows)[number]["from" | "to"], "start" | "end">;
export type ActivationEvent = ActivationRow["event"];

/** The diagram's arrows to [*]: they wait for nothing, so the state they leave is where the process ends. */
export const activationEndings: readonly Ending<ActivationState>[] = [
  { id: "SA5", label: "Service unavailable", from: "ServiceDenied", section },
  { id: "SA8", label: "Process terminated", from: "PaymentFailed", section },
  { id: "SA16", label: "Service not delivered", from: "NoCharge", section },
  { id: "SA17", label: "Service delivered", from: "ServiceActive", section },
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
  section,
  states: listStates(arrows),
  events: listEvents(arrows),
  arrows,
  endings: activationEndings,
  guards: { ...activationDependencies, ...activationEdges, ...activationAddedGuards },
};
