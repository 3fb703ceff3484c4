import type { Display } from "@caas/contract/display.ts";
import type { ActivationEvent, ActivationState } from "../rules/activation-machine.ts";
import type { MaintenanceStatus } from "../rules/maintenance-gate.ts";
import type { NotificationRowId } from "../rules/notification-rows.ts";
import type { Doubt } from "../rules/report-judgement.ts";
import type { FailureClass } from "../rules/retry-policy.ts";
import type { NewTask } from "../rules/task-table.ts";
import type { VehicleEvent, VehicleState } from "../rules/vehicle-machine.ts";
import type { Transaction } from "../store/database.ts";
import type { Actor } from "./actor.ts";
import type { Step } from "./record-step.ts";

// Domain events: what capabilities tell each other. Handlers run inside the publisher's transaction and are
// listed in one table in wiring.ts; whatever may wait or fail is a job.

export type VehicleMoved = {
  vehicleId: string;
  event: VehicleEvent;
  from: VehicleState | "start";
  to: VehicleState | "end";
  actor: Actor;
};

export type ActivationMoved = {
  activationId: string;
  vehicleId: string;
  event: ActivationEvent;
  from: ActivationState | "start";
  to: ActivationState | "end";
  actor: Actor;
  /** As recorded with the step: the attempt's number, the reason of a failure. */
  detail: NonNullable<Step["detail"]>;
  /** When the money was held or presumed; `null` before. */
  queuedAt: Date | null;
};

/** What a message is about; the notification engine looks up the rest. */
export type NotificationSubject = {
  expedienteId?: string;
  vehicleId?: string;
  activationId?: string;
  paymentId?: string;
};

export type DomainEvents = {
  saleRegistered: { expedienteId: string; actor: Actor };
  vehicleMoved: VehicleMoved;
  activationMoved: ActivationMoved;
  notificationDue: {
    row: NotificationRowId;
    subject: NotificationSubject;
    detail?: Record<string, string | number>;
  };
  /** A channel's provider has taken the message that a car waits for (SMTP 250, HTTP 2xx). */
  notificationAccepted: { notificationId: string; subject: NotificationSubject };
  /** A person must act: a ticket for support, or work for the dealership. */
  taskNeeded: NewTask & {
    detail?: Record<string, string | number>;
    subject: NotificationSubject;
    /** The employee whose act another one is to look at: told only where there is nobody else. */
    causedBy?: string;
  };
  /** A second member of staff has said whether what was recorded is there. */
  secondLookTaken: { paymentId: string; outcome: "passed" | "failed"; checkedBy: string };
  reservationPaid: { expedienteId: string; paymentId: string; actor: Actor };
  finalPaymentReceived: { expedienteId: string; paymentId: string; actor: Actor };
  finalPaymentDeclined: { expedienteId: string; paymentId: string; reason: string; actor: Actor };
  /** The gate is open: hold the price of a service. Answered by authorised or declined. */
  servicePaymentRequested: {
    activationId: string;
    customerId: string;
    amountCents: number;
    currency: string;
    paymentMethod: string;
  };
  /** The car has proved it: take the money held. Answered by captured. */
  serviceCaptureRequested: { activationId: string };
  /** Nothing will be delivered: release the hold. Answered by voided. */
  serviceVoidRequested: { activationId: string };
  /** The price of a service is held; `captureBefore` is when the gateway lets it lapse. */
  servicePaymentAuthorised: { activationId: string; paymentId: string; captureBefore: Date };
  /** The gateway did not answer and the payment is treated as successful; the truth is known by `reconcileBy`. */
  servicePaymentPresumed: { activationId: string; paymentId: string; reconcileBy: Date };
  /** The gateway did not answer and the payment may not be presumed: nothing is delivered until it is known. */
  servicePaymentAwaited: { activationId: string; paymentId: string; rule: string; reason: string };
  /** A presumed payment exists: its price is held, as an authorised one's is. */
  servicePaymentConfirmed: { activationId: string; paymentId: string; captureBefore: Date };
  /** A presumed payment does not exist, and never will. */
  servicePaymentRefuted: { activationId: string; paymentId: string; reason: string };
  /** A captured payment was taken back by the customer's bank. */
  servicePaymentChargedBack: { activationId: string; paymentId: string; amountCents: number; reason: string };
  /** The bank's last word on a charge-back; `won`: the money is ours again. */
  serviceChargeBackClosed: {
    activationId: string;
    paymentId: string;
    amountCents: number;
    status: "won" | "lost";
  };
  /** We gave money back; `isWhole`: nothing of the price is left with us. */
  servicePaymentRefunded: {
    activationId: string;
    paymentId: string;
    amountCents: number;
    reason: string;
    isWhole: boolean;
  };
  /** A refund that was made came back: the customer does not have the money. */
  serviceRefundFailed: { activationId: string; paymentId: string; amountCents: number; reason: string };
  /** The hold is gone before the car's proof, by time or by hand at the gateway. */
  serviceHoldLost: { activationId: string; paymentId: string; reason: string };
  servicePaymentDeclined: { activationId: string; paymentId: string; reason: string };
  servicePaymentCaptured: { activationId: string; paymentId: string };
  /** The car has proved the service, and the bank will not pay what it held. */
  servicePaymentLost: { activationId: string; paymentId: string; reason: string };
  /** The hold is released, or was never made: nothing was or will be charged. */
  servicePaymentVoided: { activationId: string; paymentId: string | null };
  /** Ask the workshops' system; answered by maintenanceChecked, whatever happens, within 2 s. */
  maintenanceCheckRequested: { activationId: string; vin: string | null };
  maintenanceChecked: { activationId: string; status: MaintenanceStatus };
  /** Show something on the car's own screen. */
  displayRequested: { vehicleId: string; displayId: string; content: Display["content"]; expiresAt: Date };
  vinAssigned: { vehicleId: string; expedienteId: string; vin: string };
  /** The car's proof that an attempt's version is applied. The car's next change may be possible, too. */
  attemptApplied: { activationId: string; vehicleId: string; version: number; appliedAt: Date };
  attemptFailed: {
    activationId: string;
    vehicleId: string;
    version: number;
    reason: string;
    failureClass: FailureClass;
  };
  /** A purchase waits for this car, and its next change may be possible: the last one ended, or it came online. */
  changePossible: { vehicleId: string };
  /** A car, or what speaks in its name, may not be what it says: support hears of it. */
  carDoubted: { vehicleId: string; doubt: Doubt };
  /** A car has taken another enrolment package: its former certificates, proof key and memory mean nothing any more. */
  carEnrolledAgain: { vehicleId: string; formerProofKey: string | null; serialNumber: string };
  /** The car said so itself, and was not known to be online. */
  carConnected: { vehicleId: string };
};

export type DomainEventName = keyof DomainEvents;

/** A handler takes a list: a hundred events cost it as many statements as one. */
export type EventHandler<Name extends DomainEventName> = (
  tx: Transaction,
  events: readonly DomainEvents[Name][],
) => Promise<void>;

/** A handler of events that are rare: it takes them one after another. */
export function each<Event>(
  handle: (tx: Transaction, event: Event) => Promise<void>,
): (tx: Transaction, events: readonly Event[]) => Promise<void> {
  return async (tx, events) => {
    for (const event of events) await handle(tx, event);
  };
}

export type EventHandlers = { readonly [Name in DomainEventName]: readonly EventHandler<Name>[] };

export type Publish = <Name extends DomainEventName>(
  tx: Transaction,
  name: Name,
  events: readonly DomainEvents[Name][],
) => Promise<void>;

/** Calls the handlers one after another, in the table's order. `handlers` is read at each call. */
export function createPublish(handlers: () => EventHandlers): Publish {
  return async (tx, name, events) => {
    if (events.length === 0) return;
    for (const handle of handlers()[name]) await handle(tx, events);
  };
}
