import type { Arrow, Ending } from "./arrow.ts";
import type { AutomationId } from "./automation-table.ts";
import type { NotificationId } from "./notification-table.ts";

/** A condition an arrow waits for. `refusal` tells a person what is missing and why. */
export type Guard<F> = { section: string; refusal: string; holds: (facts: F) => boolean };

export type Machine<S extends string, E extends string, F, G extends string> = {
  name: string;
  section: string;
  states: readonly S[];
  events: readonly E[];
  /** Every possible arrow: the specification's and the additions. */
  arrows: readonly Arrow<S, E, G>[];
  endings: readonly Ending<S>[];
  guards: Readonly<Record<G, Guard<F>>>;
};

export type Moved<S extends string> = {
  kind: "moved";
  arrowId: string;
  from: S | "start";
  to: S | "end";
  automation: AutomationId | null;
  /** True when the automation table says no person starts this step. */
  automatic: boolean;
  notifies: readonly NotificationId[];
};

export type Refused = {
  kind: "refused";
  code: "noArrow" | "guard";
  /** The guard's row id ("DE3"), or the machine's name where no arrow exists. */
  rule: string;
  section: string;
  message: string;
  /** Events the state does take (their guards may still refuse). */
  possible: readonly string[];
};

export type Decision<S extends string> = Moved<S> | Refused;

/** What is known about a vehicle and its order when an event arrives. */
export type VehicleFacts = {
  reservationPaid: boolean;
  factoryOrderPlaced: boolean;
  manufacturingComplete: boolean;
  finalPaymentReceived: boolean;
  registrationDocumentRecorded: boolean;
  transportArranged: boolean;
  physicallyDelivered: boolean;
  /** The carrier, or the dealership itself, says that a car nobody took at home is back. */
  backAtDealership: boolean;
  /** The customer typed the code on the car's display, so they are beside the car. */
  linkCodeProved: boolean;
  /** The customer withdrew while the car was being built. */
  orderCancelled: boolean;
};

/** What is known about an activation when an event arrives. */
export type ActivationFacts = {
  vehicleOperational: boolean;
  appLinked: boolean;
  requesterIsCurrentOwner: boolean;
  /** The catalogue's flag of the service; services depend on maintenance unless it says otherwise. */
  serviceDependsOnMaintenance: boolean;
  maintenanceValidated: boolean;
  paymentConfirmed: boolean;
  /** Attempts begun so far, the failed one included. */
  attemptsUsed: number;
  /** First attempt and retries together; see retry-policy.ts for a failure that no retry can mend. */
  attemptsAllowed: number;
};
