import type { ActivationDependencyId, VehicleDependencyId } from "./dependency-rules.ts";
import type { ActivationFacts, AddedArrow, Guard, VehicleFacts } from "./types.ts";

/**
 * What the business needs and the specification leaves out, kept apart from its own rows.
 * Ids: VX vehicle arrows, SX activation arrows, AG guards. Each row says why it exists.
 */
export const additionSection = "Additions to the specification";

export type AddedGuard<F> = Guard<F> & { reason: string };

export const vehicleAddedGuards = {
  AG1: {
    section: additionSection,
    refusal: "The registration document (authority id, plate, date) is not recorded yet",
    reason:
      "The diagram moves to Registered on the payment, but registration is a later call to the authority: a vehicle is registered when the document says so.",
    holds: (facts) => facts.registrationDocumentRecorded,
  },
  AG2: {
    section: additionSection,
    refusal: "The final payment has already been received, so it cannot fail any more",
    reason:
      "A gateway may report an older refusal late; a customer who has paid does not lose the car by it.",
    holds: (facts) => !facts.finalPaymentReceived,
  },
  AG3: {
    section: additionSection,
    refusal: "The code shown on the car's display has not been proved",
    reason:
      "DE4 wants the customer to possess the vehicle; a delivery record alone does not show who holds the phone.",
    holds: (facts) => facts.linkCodeProved,
  },
  AG4: {
    section: additionSection,
    refusal: "The order was cancelled while the vehicle was being built",
    reason: "Nobody is asked to pay for a car they have withdrawn from.",
    holds: (facts) => !facts.orderCancelled,
  },
} as const satisfies Record<string, AddedGuard<VehicleFacts>>;

export const activationAddedGuards = {
  AG5: {
    section: additionSection,
    refusal: "Only the vehicle's current owner may ask for services",
    reason: "A car is resold with its account history; the former owner's app must not act on it.",
    holds: (facts) => facts.requesterIsCurrentOwner,
  },
  AG6: {
    section: additionSection,
    refusal: "The service depends on maintenance, so the workshop's answer is needed",
    reason: "The way round the check is only for services the catalogue exempts (DE7).",
    holds: (facts) => !facts.serviceDependsOnMaintenance,
  },
  AG7: {
    section: additionSection,
    refusal: "No retry is left",
    reason: '"Retry N times" is a number, and the number has to be kept somewhere.',
    holds: (facts) => facts.attemptsUsed < facts.attemptsAllowed,
  },
  AG8: {
    section: additionSection,
    refusal: "Retries remain",
    reason: '"All retries exhausted" must be true before support is alarmed and the sale given up.',
    holds: (facts) => facts.attemptsUsed >= facts.attemptsAllowed,
  },
} as const satisfies Record<string, AddedGuard<ActivationFacts>>;

export type VehicleGuardId = VehicleDependencyId | keyof typeof vehicleAddedGuards;
export type ActivationGuardId = ActivationDependencyId | keyof typeof activationAddedGuards;

const vehicleDefaults = { guards: [], automation: null, notifies: [], section: additionSection } as const;

export const vehicleAdditions = [
  {
    ...vehicleDefaults,
    id: "VX1",
    label: "VIN assigned",
    from: "Ordered",
    event: "vinAssigned",
    to: "Ordered",
    automation: "AU5",
    reason: "The factory may name the chassis before it starts; until then the car has only our own id.",
  },
  {
    ...vehicleDefaults,
    id: "VX2",
    label: "VIN assigned",
    from: "InManufacturing",
    event: "vinAssigned",
    to: "InManufacturing",
    automation: "AU5",
    reason: "The usual moment for the VIN; the order and the expediente need it, the state does not change.",
  },
  {
    ...vehicleDefaults,
    id: "VX3",
    label: "Manufacturing progressed",
    from: "InManufacturing",
    event: "manufacturingProgressed",
    to: "InManufacturing",
    automation: "AU5",
    notifies: ["NT3"],
    reason: "The customer hears of every milestone (LF3), not only of the first and the last.",
  },
  {
    ...vehicleDefaults,
    id: "VX4",
    label: "Final payment received",
    from: "PaymentPending",
    event: "finalPaymentReceived",
    to: "PaymentPending",
    guards: ["DE9", "CE3"],
    automation: "AU7",
    notifies: ["NT5"],
    reason: "Paid is not yet registered: the payment is recorded and the state waits for the authority.",
  },
  {
    ...vehicleDefaults,
    id: "VX5",
    label: "Registration requested",
    from: "PaymentPending",
    event: "registrationRequested",
    to: "PaymentPending",
    guards: ["DE2"],
    automation: "AU8",
    reason: "The authority answers hours later; that it was asked must survive a restart.",
  },
  {
    ...vehicleDefaults,
    id: "VX6",
    label: "Transport started",
    from: "InTransit",
    event: "transportStarted",
    to: "InTransit",
    notifies: ["NT7"],
    reason:
      "The diagram enters InTransit when transport is arranged, the message is due when it starts: two moments.",
  },
  {
    ...vehicleDefaults,
    id: "VX7",
    label: "Transport replaced",
    from: "InTransit",
    event: "transportReplaced",
    to: "InTransit",
    automation: "AU9",
    reason: "When a carrier fails the dealership arranges another (FA16); the car is still on its way.",
  },
  {
    ...vehicleDefaults,
    id: "VX8",
    label: "Returned to dealership",
    from: "AtDealership",
    event: "returnedToDealership",
    to: "AtDealership",
    reason: "The state changes at the customer's door; the car is there for pick-up only once it is back.",
  },
  {
    ...vehicleDefaults,
    id: "VX9",
    label: "Order cancelled",
    from: "Ordered",
    event: "orderCancelled",
    to: "Ordered",
    reason: "A placed factory order is not taken back: the car is built and sold to someone else.",
  },
  {
    ...vehicleDefaults,
    id: "VX10",
    label: "Order cancelled",
    from: "InManufacturing",
    event: "orderCancelled",
    to: "InManufacturing",
    reason: "A car on the line is finished, whoever buys it.",
  },
  {
    ...vehicleDefaults,
    id: "VX11",
    label: "Order cancelled",
    from: "ReadyAtFactory",
    event: "orderCancelled",
    to: "SinAsignar",
    reason:
      "A finished car without a customer is sinAsignar. Taken by the customer who withdraws now, and by the system at once for a car whose order was cancelled during building.",
  },
  {
    ...vehicleDefaults,
    id: "VX12",
    label: "Stock car reserved",
    from: "start",
    event: "stockCarReserved",
    to: "PaymentPending",
    guards: ["DE1", "DE9"],
    reason:
      "A stock car that is sold again starts a second life of the same VIN: the new customer's reservation is needed, a factory order is not.",
  },
] as const satisfies readonly AddedArrow<string, string, VehicleGuardId>[];

const activationDefaults = { guards: [], automation: null, notifies: [], section: additionSection } as const;

export const activationAdditions = [
  {
    ...activationDefaults,
    id: "SX1",
    label: "Maintenance unavailable",
    from: "MaintenanceCheck",
    event: "maintenanceUnavailable",
    to: "ServiceDenied",
    automation: "AU13",
    notifies: ["NT15"],
    reason:
      "When the workshops' system is slow, down or talks nonsense the service is denied, to be safe (FA11).",
  },
  {
    ...activationDefaults,
    id: "SX2",
    label: "Maintenance not required",
    from: "MaintenanceCheck",
    event: "maintenanceNotRequired",
    to: "PaymentInitiated",
    guards: ["AG6"],
    automation: "AU13",
    reason: "Overdue maintenance blocks only the services that depend on it (DE7).",
  },
  {
    ...activationDefaults,
    id: "SX3",
    label: "Hold expired",
    from: "OTAQueue",
    event: "holdExpired",
    to: "TechnicalSupport",
    notifies: ["NT12"],
    reason: "A car that stays offline longer than the bank holds the money cannot be served any more.",
  },
  {
    ...activationDefaults,
    id: "SX4",
    label: "Hold expired",
    from: "OTAAttempt",
    event: "holdExpired",
    to: "TechnicalSupport",
    notifies: ["NT12"],
    reason: "A car that falls silent in the middle of an attempt must not keep the activation open for ever.",
  },
  {
    ...activationDefaults,
    id: "SX5",
    label: "Hold expired",
    from: "RetryQueue",
    event: "holdExpired",
    to: "TechnicalSupport",
    notifies: ["NT12"],
    reason: "Retries end with the money that would pay for them, even if the number is not used up.",
  },
  {
    ...activationDefaults,
    id: "SX6",
    label: "Customer cancelled",
    from: "ServiceSelected",
    event: "customerCancelled",
    to: "NoCharge",
    reason: "Nothing was checked or paid; the selection is simply dropped.",
  },
  {
    ...activationDefaults,
    id: "SX7",
    label: "Customer cancelled",
    from: "MaintenanceCheck",
    event: "customerCancelled",
    to: "NoCharge",
    reason: "Nothing was paid; a check still under way has nobody to answer to.",
  },
  {
    ...activationDefaults,
    id: "SX8",
    label: "Customer cancelled",
    from: "PaymentInitiated",
    event: "customerCancelled",
    to: "NoCharge",
    reason: "A hold may be on its way: it is voided when it arrives, and nothing is delivered.",
  },
  {
    ...activationDefaults,
    id: "SX9",
    label: "Customer cancelled",
    from: "OTAQueue",
    event: "customerCancelled",
    to: "NoCharge",
    reason: "The car has not begun, so the hold is voided and the entry leaves the manifest.",
  },
  {
    ...activationDefaults,
    id: "SX10",
    label: "Customer cancelled",
    from: "RetryQueue",
    event: "customerCancelled",
    to: "NoCharge",
    reason: "Between two attempts the entry is in no manifest, so nothing has to be taken back.",
  },
  {
    ...activationDefaults,
    id: "SX11",
    label: "Customer cancelled",
    from: "OTAAttempt",
    event: "customerCancelled",
    to: "NoCharge",
    reason:
      "Until the car proves it, nothing is charged: the next manifest leaves the entry out, and a proof that comes later only brings its removal.",
  },
  {
    ...activationDefaults,
    id: "SX12",
    label: "Payment presumed",
    from: "PaymentInitiated",
    event: "paymentPresumed",
    to: "OTAQueue",
    guards: ["CE8", "DE11"],
    automation: "AU14",
    reason:
      "The gateway did not answer: success is assumed and the service delivered (FA4), within the limits PP1 to PP7; for DE6 the presumption counts as the confirmation.",
  },
  {
    ...activationDefaults,
    id: "SX13",
    label: "Presumption refuted",
    from: "OTAQueue",
    event: "presumptionRefuted",
    to: "PaymentFailed",
    automation: "AU14",
    reason: "The payment turned out not to exist before the car began: nothing is delivered any more.",
  },
  {
    ...activationDefaults,
    id: "SX14",
    label: "Presumption refuted",
    from: "OTAAttempt",
    event: "presumptionRefuted",
    to: "PaymentFailed",
    automation: "AU14",
    reason:
      "The car may be applying it or have applied it: the next manifest leaves the entry out, and a proof that comes later charges nobody.",
  },
  {
    ...activationDefaults,
    id: "SX15",
    label: "Presumption refuted",
    from: "RetryQueue",
    event: "presumptionRefuted",
    to: "PaymentFailed",
    automation: "AU14",
    reason: "Retries end with the payment they were made for.",
  },
] as const satisfies readonly AddedArrow<string, string, ActivationGuardId>[];
