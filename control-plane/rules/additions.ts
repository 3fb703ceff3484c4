import { arrowsGuardedBy } from "./arrow.ts";
import type { ActivationDependencyId, VehicleDependencyId } from "./dependency-rules.ts";
import type { ActivationFacts, Guard, VehicleFacts } from "./types.ts";

// What the business needs and the specification leaves out, kept apart from its own rows.
// Ids: VX vehicle arrows, SX activation arrows, AG guards. Each row says why it exists.

export const additionSection = "Additions to the specification";

export type AddedGuard<F> = Guard<F> & { reason: string };

function guard<F>(holds: (facts: F) => boolean, refusal: string, reason: string): AddedGuard<F> {
  return { section: additionSection, refusal, reason, holds };
}

// biome-ignore format: one row a line, its reason below
export const vehicleAddedGuards = {
  AG1: guard<VehicleFacts>((facts) => facts.registrationDocumentRecorded,
    "The registration document (authority id, plate, date) is not recorded yet",
    "The diagram moves to Registered on the payment, but the authority is called later: a vehicle is registered when the document says so."),
  AG2: guard<VehicleFacts>((facts) => !facts.finalPaymentReceived,
    "The final payment has already been received, so it cannot fail any more",
    "A gateway may report an older refusal late; a customer who has paid does not lose the car by it."),
  AG3: guard<VehicleFacts>((facts) => facts.linkCodeProved,
    "The code shown on the car's display has not been proved",
    "DE4 requires the customer to possess the vehicle; a delivery record alone does not show who holds the phone."),
  AG4: guard<VehicleFacts>((facts) => !facts.orderCancelled,
    "The order was cancelled while the vehicle was being built",
    "No customer is asked to pay for a car they have withdrawn from."),
  AG9: guard<VehicleFacts>((facts) => facts.backAtDealership,
    "The carrier still has the vehicle: it is not back at the dealership yet (VX8)",
    "The state says AtDealership from the customer's door on, while the car is still on the lorry: nobody can fetch it before it is back."),
};

// biome-ignore format: one row a line, its reason below
export const activationAddedGuards = {
  AG5: guard<ActivationFacts>((facts) => facts.requesterIsCurrentOwner,
    "Only the vehicle's current owner may ask for services",
    "A car is resold with its account history; the former owner's app must not act on it."),
  AG6: guard<ActivationFacts>((facts) => !facts.serviceDependsOnMaintenance,
    "The service depends on maintenance, so the workshop's answer is needed",
    "Only services that the catalogue exempts skip the check (DE7)."),
  AG7: guard<ActivationFacts>((facts) => facts.attemptsUsed < facts.attemptsAllowed,
    "No retry is left",
    '"Retry N times" is a number, and a guard must keep it.'),
  AG8: guard<ActivationFacts>((facts) => facts.attemptsUsed >= facts.attemptsAllowed,
    "Retries remain",
    '"All retries exhausted" must be true before support is alarmed and the sale given up.'),
};

export type VehicleGuardId = VehicleDependencyId | keyof typeof vehicleAddedGuards;
export type ActivationGuardId = ActivationDependencyId | keyof typeof activationAddedGuards;

const ofVehicle = arrowsGuardedBy<VehicleGuardId>();
const ofActivation = arrowsGuardedBy<ActivationGuardId>();

// biome-ignore format: one row a line, its reason below
export const vehicleAdditions = [
  { ...ofVehicle("VX1",  "Ordered",         "vinAssigned",             "Ordered",         "VIN assigned",             "AU5"),
    reason: "The factory may name the chassis before it starts; until then the car has only our own id." },
  { ...ofVehicle("VX2",  "InManufacturing", "vinAssigned",             "InManufacturing", "VIN assigned",             "AU5"),
    reason: "The usual moment for the VIN; the order and the expediente need it, the state does not change." },
  { ...ofVehicle("VX3",  "InManufacturing", "manufacturingProgressed", "InManufacturing", "Manufacturing progressed", "AU5", ["NT3"]),
    reason: "The customer hears of every milestone (LF3), not only of the first and the last." },
  { ...ofVehicle("VX4",  "PaymentPending",  "finalPaymentReceived",    "PaymentPending",  "Final payment received",   "AU7", ["NT5"], ["DE9", "CE3"]),
    reason: "Paid is not yet registered: the payment is recorded and the state waits for the authority." },
  { ...ofVehicle("VX5",  "PaymentPending",  "registrationRequested",   "PaymentPending",  "Registration requested",   "AU8", [],      ["DE2"]),
    reason: "The authority answers hours later; that it was asked must survive a restart." },
  { ...ofVehicle("VX6",  "InTransit",       "transportStarted",        "InTransit",       "Transport started",        null,  ["NT7"]),
    reason: "The diagram enters InTransit when transport is arranged, the message is due when it starts: two moments." },
  { ...ofVehicle("VX7",  "InTransit",       "transportReplaced",       "InTransit",       "Transport replaced",       "AU9"),
    reason: "When a carrier fails the dealership arranges another (FA16); the car is still on its way." },
  { ...ofVehicle("VX8",  "AtDealership",    "returnedToDealership",    "AtDealership",    "Returned to dealership",   null),
    reason: "The state changes at the customer's door; the car is there for pick-up only once it is back." },
  { ...ofVehicle("VX9",  "Ordered",         "orderCancelled",          "Ordered",         "Order cancelled",          null),
    reason: "A placed factory order is not taken back: the car is built and sold to someone else." },
  { ...ofVehicle("VX10", "InManufacturing", "orderCancelled",          "InManufacturing", "Order cancelled",          null),
    reason: "A car on the line is finished and sold to someone else." },
  { ...ofVehicle("VX11", "ReadyAtFactory",  "orderCancelled",          "SinAsignar",      "Order cancelled",          null),
    reason: "A finished car without a customer is sinAsignar: the customer withdraws now, or the system acts on an earlier cancellation." },
  { ...ofVehicle("VX12", "start",           "stockCarReserved",        "PaymentPending",  "Stock car reserved",       null,  [],      ["DE1", "DE9"]),
    reason: "A stock car that is sold again starts a second life of the same VIN: it needs the new customer's reservation and no factory order." },
];

// biome-ignore format: one row a line, its reason below
export const activationAdditions = [
  { ...ofActivation("SX1",  "MaintenanceCheck", "maintenanceUnavailable", "ServiceDenied",    "Maintenance unavailable",  "AU13", ["NT15"]),
    reason: "When the workshops' system is slow, down or talks nonsense the service is denied, to be safe (FA11)." },
  { ...ofActivation("SX2",  "MaintenanceCheck", "maintenanceNotRequired", "PaymentInitiated", "Maintenance not required", "AU13", [], ["AG6"]),
    reason: "Overdue maintenance blocks only the services that depend on it (DE7)." },
  { ...ofActivation("SX3",  "OTAQueue",         "holdExpired",            "TechnicalSupport", "Hold expired",             null,   ["NT12"]),
    reason: "A car that stays offline longer than the bank holds the money cannot be served any more." },
  { ...ofActivation("SX4",  "OTAAttempt",       "holdExpired",            "TechnicalSupport", "Hold expired",             null,   ["NT12"]),
    reason: "A car that falls silent in the middle of an attempt must not keep the activation open forever." },
  { ...ofActivation("SX5",  "RetryQueue",       "holdExpired",            "TechnicalSupport", "Hold expired",             null,   ["NT12"]),
    reason: "Retries end with the money that would pay for them, even if the number is not used up." },
  { ...ofActivation("SX6",  "ServiceSelected",  "customerCancelled",      "NoCharge",         "Customer cancelled",       null),
    reason: "Nothing was checked or paid; the selection is simply dropped." },
  { ...ofActivation("SX7",  "MaintenanceCheck", "customerCancelled",      "NoCharge",         "Customer cancelled",       null),
    reason: "Nothing was paid; the answer of a check still under way is ignored." },
  { ...ofActivation("SX8",  "PaymentInitiated", "customerCancelled",      "NoCharge",         "Customer cancelled",       null),
    reason: "A hold may be on its way: it is voided when it arrives, and nothing is delivered." },
  { ...ofActivation("SX9",  "OTAQueue",         "customerCancelled",      "NoCharge",         "Customer cancelled",       null),
    reason: "The car has not begun, so the hold is voided and the entry leaves the manifest." },
  { ...ofActivation("SX10", "RetryQueue",       "customerCancelled",      "NoCharge",         "Customer cancelled",       null),
    reason: "Between two attempts the entry is in no manifest, so nothing has to be taken back." },
  { ...ofActivation("SX11", "OTAAttempt",       "customerCancelled",      "NoCharge",         "Customer cancelled",       null),
    reason: "Nothing is charged before the car's proof: the next manifest leaves the entry out, and a later proof only leads to its removal." },
  { ...ofActivation("SX12", "PaymentInitiated", "paymentPresumed",        "OTAQueue",         "Payment presumed",         "AU14", [], ["CE8", "DE11"]),
    reason: "The gateway did not answer: within PP1 to PP7 success is assumed and the service delivered (FA4). For DE6 that counts as confirmed." },
  { ...ofActivation("SX13", "OTAQueue",         "presumptionRefuted",     "PaymentFailed",    "Presumption refuted",      "AU14"),
    reason: "The payment turned out not to exist before the car began, so nothing is delivered." },
  { ...ofActivation("SX14", "OTAAttempt",       "presumptionRefuted",     "PaymentFailed",    "Presumption refuted",      "AU14"),
    reason: "The car may have applied it already: the next manifest leaves the entry out, and a proof that comes later charges no one." },
  { ...ofActivation("SX15", "RetryQueue",       "presumptionRefuted",     "PaymentFailed",    "Presumption refuted",      "AU14"),
    reason: "Retries end with the payment they were made for." },
  { ...ofActivation("SX16", "OTAQueue",         "paymentLost",            "NoCharge",         "Payment lost",             "AU14"),
    reason: "The hold, or the money, is gone before the car began, and we know it: nothing is delivered without it." },
  { ...ofActivation("SX17", "OTAAttempt",       "paymentLost",            "NoCharge",         "Payment lost",             "AU14"),
    reason: "The next manifest leaves the entry out; a proof that comes later charges no one and leads to its removal." },
  { ...ofActivation("SX18", "RetryQueue",       "paymentLost",            "NoCharge",         "Payment lost",             "AU14"),
    reason: "Retries end with the money that would pay for them." },
];
