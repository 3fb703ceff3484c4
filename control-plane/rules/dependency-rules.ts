import type { ActivationFacts, Guard, VehicleFacts } from "./types.ts";

/** Specification: "Process Dependencies and Sequencing", its table (DE1…DE7) and its diagram (nine edges, CE1…CE9). */
export const ruleSection = "Process Dependencies and Sequencing → Dependency Rules";
export const edgeSection = "Process Dependencies and Sequencing → Critical Process Dependencies";
const dataFlowSection = "Data Flow Across Operational Processes";

/** The arrow that is taken instead by a process that cannot wait. */
export type Exception = { arrow: string; text: string };

export type DependencyRule<F> = Guard<F> & {
  dependent: string;
  waitsFor: string;
  reason: string;
  exception: Exception | null;
};

export type DependencyEdge<F> = Guard<F> & { before: string; after: string };

function rule<F>(
  section: string,
  dependent: string,
  waitsFor: string,
  reason: string,
  holds: (facts: F) => boolean,
  exception: Exception | null = null,
): DependencyRule<F> {
  const refusal = `${dependent} waits for ${waitsFor} (${reason}). ${exception?.text ?? "There is no exception"}`;
  return { section, dependent, waitsFor, reason, exception, refusal, holds };
}

function edge<F>(before: string, after: string, holds: (facts: F) => boolean): DependencyEdge<F> {
  return { section: edgeSection, before, after, refusal: `${before} comes before ${after}`, holds };
}

/** The gate is passed when the workshop vouches for the car, or when the service does not depend on maintenance. */
function isMaintenanceGatePassed(facts: ActivationFacts): boolean {
  return facts.maintenanceValidated || !facts.serviceDependsOnMaintenance;
}

function isReadyForServices(facts: ActivationFacts): boolean {
  return facts.vehicleOperational && facts.appLinked;
}

// biome-ignore format: one row a line, its condition below
export const vehicleDependencies = {
  DE1:  rule(ruleSection, "Factory order placement", "the reservation payment", "financial commitment",
          (facts: VehicleFacts) => facts.reservationPaid),
  DE2:  rule(ruleSection, "Vehicle registration", "the final payment", "legal ownership transfer",
          (facts: VehicleFacts) => facts.finalPaymentReceived, { arrow: "VA6", text: "A payment that fails makes the vehicle sinAsignar" }),
  DE3:  rule(ruleSection, "Transport arrangement", "the vehicle's registration", "an unregistered vehicle cannot be transported",
          (facts: VehicleFacts) => facts.registrationDocumentRecorded),
  DE4:  rule(ruleSection, "Mobile app linking", "physical delivery", "security: the customer must possess the vehicle",
          (facts: VehicleFacts) => facts.physicallyDelivered),
  DE8:  rule(edgeSection, "Manufacturing", "the factory order", "nothing is built that was not ordered",
          (facts: VehicleFacts) => facts.factoryOrderPlaced),
  DE9:  rule(edgeSection, "The final payment", "the end of manufacturing", "the rest of the price is due for a finished vehicle",
          (facts: VehicleFacts) => facts.manufacturingComplete),
  DE10: rule(edgeSection, "Vehicle delivery", "final payment, registration and transport together", "only a paid, registered vehicle on its way is handed over",
          (facts: VehicleFacts) => facts.finalPaymentReceived && facts.registrationDocumentRecorded && facts.transportArranged),
};

// biome-ignore format: one row a line, its condition below
export const activationDependencies = {
  DE5:  rule(ruleSection, "Service activation", "maintenance validation", "safety and warranty",
          (facts: ActivationFacts) => facts.maintenanceValidated, { arrow: "SA4", text: "Overdue maintenance denies the service" }),
  DE6:  rule(ruleSection, "Service delivery over the air", "payment confirmation", "a service is paid before it is used",
          (facts: ActivationFacts) => facts.paymentConfirmed),
  DE7:  rule(ruleSection, "A maintenance-dependent service", "current maintenance", "safety and warranty",
          isMaintenanceGatePassed, { arrow: "SX2", text: "Services that do not depend on maintenance are not blocked" }),
  DE11: rule(edgeSection, "The service payment", "selection first and the maintenance check next", "nobody pays for a service that may be denied",
          (facts: ActivationFacts) => isReadyForServices(facts) && isMaintenanceGatePassed(facts)),
  DE12: rule(dataFlowSection, "Service selection", "a successful delivery with the app linked", "there is no vehicle to serve before",
          isReadyForServices),
};

// biome-ignore format: one row a line
export const vehicleEdges = {
  CE1: edge("Reservation payment",    "factory order",      (facts: VehicleFacts) => facts.reservationPaid),
  CE2: edge("Factory order",          "manufacturing",      (facts: VehicleFacts) => facts.factoryOrderPlaced),
  CE3: edge("Manufacturing complete", "final payment",      (facts: VehicleFacts) => facts.manufacturingComplete),
  CE4: edge("Final payment",          "vehicle registered", (facts: VehicleFacts) => facts.finalPaymentReceived),
  CE5: edge("Vehicle registered",     "transport arranged", (facts: VehicleFacts) => facts.registrationDocumentRecorded),
  CE6: edge("Transport arranged",     "vehicle delivery",   (facts: VehicleFacts) => facts.transportArranged),
};

// biome-ignore format: one row a line
export const activationEdges = {
  // The car may be resold after the selection, which then no longer counts.
  CE7: edge("Service selected by the owner", "maintenance validated", (facts: ActivationFacts) => isReadyForServices(facts) && facts.requesterIsCurrentOwner),
  CE8: edge("Maintenance validated",         "payment processed",     isMaintenanceGatePassed),
  CE9: edge("Payment processed",             "OTA activation",        (facts: ActivationFacts) => facts.paymentConfirmed),
};

export type VehicleDependencyId = keyof typeof vehicleDependencies | keyof typeof vehicleEdges;
export type ActivationDependencyId = keyof typeof activationDependencies | keyof typeof activationEdges;
