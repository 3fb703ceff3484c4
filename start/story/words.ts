import type { Step } from "@caas/contract/client/generated.ts";

type Detail = Step["detail"];

function read(detail: Detail, name: string): string {
  const value = detail[name];
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

function euros(detail: Detail, name: string): string {
  const cents = detail[name];
  return typeof cents === "number" ? `${(cents / 100).toFixed(2)} EUR` : "";
}

const sentences: Readonly<Record<string, (detail: Detail) => string>> = {
  saleRegistered: (detail) => `Sale ${read(detail, "reference")} registered, ${euros(detail, "priceCents")}`,
  credentialsGenerated: (detail) => `Credentials generated for ${read(detail, "username")}`,
  credentialsMailed: (detail) => `Credentials mailed to ${read(detail, "username")}`,
  reservationPaid: () => "Reservation paid",
  factoryOrderPlaced: () => "Order placed with the factory",
  manufacturingStarted: () => "The factory starts building",
  vinAssigned: (detail) => `VIN ${read(detail, "vin")} assigned`,
  manufacturingProgressed: (detail) =>
    `Built to ${read(detail, "progressPercent")} % (${read(detail, "milestone")})`,
  manufacturingCompleted: () => "The car is built",
  customerNotified: () => "The customer is told that the car is ready",
  finalPaymentReceived: () => "Final payment received",
  finalPaymentFailed: () => "Final payment refused: the customer loses the reservation",
  markedForImmediateSale: () => "Marked for immediate sale",
  registrationRequested: () => "Registration asked of the authority",
  vehicleRegistered: (detail) => `Registered with the plate ${read(detail, "plate")}`,
  transportArranged: (detail) =>
    `Transport arranged for ${read(detail, "date")}, driver ${read(detail, "driver")}`,
  transportReplaced: (detail) => `Another transport arranged for ${read(detail, "date")}`,
  transportStarted: () => "The transport has started",
  arrivedAtCustomerAddress: () => "The carrier is at the customer's address",
  customerPresent: (detail) => `Handed over to ${read(detail, "receivedBy") || "the customer"}`,
  customerAbsent: () => "Nobody at home",
  returnedToDealership: () => "The car is back at the dealership",
  customerPickedUp: () => "Picked up at the dealership",
  appLinked: () => "The app is linked to the car",
  planApplied: (detail) => `The car proves its first manifest (version ${read(detail, "version")})`,
  servicesChanged: (detail) =>
    `Services of the car changed: ${read(detail, "service")} ${read(detail, "change")}`,
  serviceSelected: (detail) => `Selects ${read(detail, "service")} for ${euros(detail, "priceCents")}`,
  validationStarted: () => "The workshops are asked about maintenance",
  maintenanceCurrent: () => "Maintenance is current",
  maintenanceOverdue: () => "Maintenance is overdue: service denied, nothing charged",
  maintenanceNotRequired: () => "The service does not depend on maintenance",
  maintenanceUnavailable: () => "The workshops cannot be asked: service denied, nothing charged",
  paymentAuthorised: () => "The price is held on the card",
  paymentRejected: (detail) => `The card is refused (${read(detail, "reason")})`,
  attemptStarted: () => "The new manifest goes to the car",
  activationConfirmed: (detail) =>
    `The car proves it with a signed report (version ${read(detail, "version")})`,
  attemptFailed: (detail) =>
    `The car could not (${read(detail, "reason")}), attempt ${read(detail, "attempt")}`,
  retryStarted: () => "Tried again with a new version",
  attemptsExhausted: () => "No attempts left",
  ticketCreated: () => "Ticket for support, customer told",
  chargeReleased: () => "The hold is released: nothing is charged",
};

/** What happened, in words; an event without a sentence reads as its name. */
export function describeStep(step: Pick<Step, "event" | "detail">): string {
  const sentence = sentences[step.event]?.(step.detail);
  if (sentence !== undefined) return sentence.trim();
  const words = step.event.replaceAll(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}
