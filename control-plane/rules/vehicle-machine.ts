import { type VehicleGuardId, vehicleAddedGuards, vehicleAdditions } from "./additions.ts";
import { type Arrow, arrowsGuardedBy } from "./arrow.ts";
import { vehicleDependencies, vehicleEdges } from "./dependency-rules.ts";
import { listEvents, listStates } from "./interpreter.ts";
import type { Machine, VehicleFacts } from "./types.ts";

const arrow = arrowsGuardedBy<VehicleGuardId>();

/** The diagram's sixteen arrows, as drawn. */
// biome-ignore format: one row a line
export const vehicleArrows = [
//      id      from               event                       to                 label                             step    tells    waits for
  arrow("VA1",  "start",           "factoryOrderPlaced",       "Ordered",         "Factory order placed",           "AU4",  ["NT2"], ["DE1", "CE1"]),
  arrow("VA2",  "Ordered",         "manufacturingStarted",     "InManufacturing", "Manufacturing started",          "AU5",  ["NT3"], ["DE8", "CE2"]),
  // The ready message is the last milestone's; a second one about the same moment would only be noise.
  arrow("VA3",  "InManufacturing", "manufacturingCompleted",   "ReadyAtFactory",  "Manufacturing complete",         "AU5",  ["NT4"]),
  arrow("VA4",  "ReadyAtFactory",  "customerNotified",         "PaymentPending",  "Customer notified",              "AU6",  [],      ["DE9", "CE3", "AG4"]),
  // The label is the specification's; AG1 adds the document that it leaves out.
  arrow("VA5",  "PaymentPending",  "vehicleRegistered",        "Registered",      "Final payment received",         "AU8",  ["NT6"], ["DE2", "CE4", "AG1"]),
  arrow("VA6",  "PaymentPending",  "finalPaymentFailed",       "SinAsignar",      "Payment failed",                 "AU7",  [],      ["AG2"]),
  arrow("VA7",  "SinAsignar",      "markedForImmediateSale",   "DealershipStock", "Marked for immediate sale",      null),
  arrow("VA8",  "DealershipStock", "soldToDifferentCustomer",  "end",             "Sold to different customer",     null),
  arrow("VA9",  "Registered",      "transportArranged",        "InTransit",       "Transport arranged",             "AU9",  [],      ["DE3", "CE5"]),
  arrow("VA10", "InTransit",       "arrivedAtCustomerAddress", "DeliveryAttempt", "Arrived at customer address",    "AU10", [],      ["CE6"]),
  arrow("VA11", "DeliveryAttempt", "customerPresent",          "Delivered",       "Customer present",               "AU10", [],      ["DE10"]),
  arrow("VA12", "DeliveryAttempt", "customerAbsent",           "AtDealership",    "Customer absent",                "AU10", ["NT8"]),
  arrow("VA13", "AtDealership",    "customerPickedUp",         "Delivered",       "Customer pickup",                null,   [],      ["DE10", "AG9"]),
  arrow("VA14", "Delivered",       "appLinked",                "Operational",     "Mobile app linked",              "AU11", ["NT9"], ["DE4", "AG3"]),
  arrow("VA15", "Operational",     "servicesChanged",          "Operational",     "Services activated/deactivated", "AU15"),
  arrow("VA16", "Operational",     "endOfVehicleLife",         "end",             "End of vehicle life",            null),
];

type VehicleRow = (typeof vehicleArrows)[number] | (typeof vehicleAdditions)[number];

/** The twelve states (VS1…VS12). Only the specification's rows make states: an addition may not invent one. */
export type VehicleState = Exclude<(typeof vehicleArrows)[number]["from" | "to"], "start" | "end">;
export type VehicleEvent = VehicleRow["event"];

const arrows: readonly Arrow<VehicleState, VehicleEvent, VehicleGuardId>[] = [
  ...vehicleArrows,
  ...vehicleAdditions,
];

export const vehicleMachine: Machine<VehicleState, VehicleEvent, VehicleFacts, VehicleGuardId> = {
  name: "vehicle",
  section: "Operational State Tracking → Vehicle Operational States",
  states: listStates(arrows),
  events: listEvents(arrows),
  arrows,
  // Both of the vehicle's ends are arrows with an event of their own: VA8 and VA16.
  endings: [],
  guards: { ...vehicleDependencies, ...vehicleEdges, ...vehicleAddedGuards },
};
