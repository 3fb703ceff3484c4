import type { ActivationFacts, Guard, VehicleFacts } from "./types.ts";

/** Specification: "Process Dependencies and Sequencing", its table (DE1…DE7) and its diagram (nine edges, CE1…CE9). */
export const ruleSection = "Process Dependencies and Sequencing → Dependency Rules";
export const edgeSection = "Process Dependencies and Sequencing → Critical Process Dependencies";
const dataFlowSection = "Data Flow Across Operational Processes";

/** What happens to a process that cannot wait: nothing else is allowed, or the named arrow is taken instead. */
export type Exception = { kind: "none" } | { kind: "otherwise"; arrow: string; text: string };

export type DependencyRule<F> = Guard<F> & {
  dependent: string;
  waitsFor: string;
  reason: string;
  exception: Exception;
};

export type DependencyEdge<F> = Guard<F> & { before: string; after: string };

function rule<F>(
  cells: Omit<DependencyRule<F>, "refusal" | "section"> & { section?: string },
): DependencyRule<F> {
  const { dependent, waitsFor, reason, exception } = cells;
  const otherwise = exception.kind === "none" ? "There is no exception" : exception.text;
  return {
    section: ruleSection,
    ...cells,
    refusal: `${dependent} waits for ${waitsFor} (${reason}). ${otherwise}`,
  };
}

function edge<F>(before: string, after: string, holds: (facts: F) => boolean): DependencyEdge<F> {
  return { before, after, section: edgeSection, refusal: `${before} comes before ${after}`, holds };
}

/** The gate is passed when the workshop vouches for the car, or when the service is none of the workshop's business. */
function isMaintenanceGatePassed(facts: ActivationFacts): boolean {
  return facts.maintenanceValidated || !facts.serviceDependsOnMaintenance;
}

function isVehicleReadyForServices(facts: ActivationFacts): boolean {
  return facts.vehicleOperational && facts.appLinked;
}

export const vehicleDependencies = {
  DE1: rule<VehicleFacts>({
    dependent: "Factory order placement",
    waitsFor: "the reservation payment",
    reason: "financial commitment",
    exception: { kind: "none" },
    holds: (facts) => facts.reservationPaid,
  }),
  DE2: rule<VehicleFacts>({
    dependent: "Vehicle registration",
    waitsFor: "the final payment",
    reason: "legal ownership transfer",
    exception: {
      kind: "otherwise",
      arrow: "VA6",
      text: "A payment that fails makes the vehicle sinAsignar",
    },
    holds: (facts) => facts.finalPaymentReceived,
  }),
  DE3: rule<VehicleFacts>({
    dependent: "Transport arrangement",
    waitsFor: "the vehicle's registration",
    reason: "an unregistered vehicle cannot be transported",
    exception: { kind: "none" },
    holds: (facts) => facts.registrationDocumentRecorded,
  }),
  DE4: rule<VehicleFacts>({
    dependent: "Mobile app linking",
    waitsFor: "physical delivery",
    reason: "security: the customer must possess the vehicle",
    exception: { kind: "none" },
    holds: (facts) => facts.physicallyDelivered,
  }),
  DE8: rule<VehicleFacts>({
    section: edgeSection,
    dependent: "Manufacturing",
    waitsFor: "the factory order",
    reason: "nothing is built that was not ordered",
    exception: { kind: "none" },
    holds: (facts) => facts.factoryOrderPlaced,
  }),
  DE9: rule<VehicleFacts>({
    section: edgeSection,
    dependent: "The final payment",
    waitsFor: "the end of manufacturing",
    reason: "the rest of the price is due for a finished vehicle",
    exception: { kind: "none" },
    holds: (facts) => facts.manufacturingComplete,
  }),
  DE10: rule<VehicleFacts>({
    section: edgeSection,
    dependent: "Vehicle delivery",
    waitsFor: "final payment, registration and transport together",
    reason: "only a paid, registered vehicle on its way is handed over",
    exception: { kind: "none" },
    holds: (facts) =>
      facts.finalPaymentReceived && facts.registrationDocumentRecorded && facts.transportArranged,
  }),
};

export const activationDependencies = {
  DE5: rule<ActivationFacts>({
    dependent: "Service activation",
    waitsFor: "maintenance validation",
    reason: "safety and warranty",
    exception: { kind: "otherwise", arrow: "SA4", text: "Overdue maintenance denies the service" },
    holds: (facts) => facts.maintenanceValidated,
  }),
  DE6: rule<ActivationFacts>({
    dependent: "Service delivery over the air",
    waitsFor: "payment confirmation",
    reason: "a service is paid before it is used",
    exception: { kind: "none" },
    holds: (facts) => facts.paymentConfirmed,
  }),
  DE7: rule<ActivationFacts>({
    dependent: "A maintenance-dependent service",
    waitsFor: "current maintenance",
    reason: "safety and warranty",
    exception: {
      kind: "otherwise",
      arrow: "SX2",
      text: "Services that do not depend on maintenance are not blocked",
    },
    holds: isMaintenanceGatePassed,
  }),
  DE11: rule<ActivationFacts>({
    section: edgeSection,
    dependent: "The service payment",
    waitsFor: "selection first and the maintenance check next",
    reason: "nobody pays for a service that may be denied",
    exception: { kind: "none" },
    holds: (facts) => isVehicleReadyForServices(facts) && isMaintenanceGatePassed(facts),
  }),
  DE12: rule<ActivationFacts>({
    section: dataFlowSection,
    dependent: "Service selection",
    waitsFor: "a successful delivery with the app linked",
    reason: "there is no vehicle to serve before",
    exception: { kind: "none" },
    holds: isVehicleReadyForServices,
  }),
};

export const vehicleEdges = {
  CE1: edge<VehicleFacts>("Reservation payment", "factory order", (facts) => facts.reservationPaid),
  CE2: edge<VehicleFacts>("Factory order", "manufacturing", (facts) => facts.factoryOrderPlaced),
  CE3: edge<VehicleFacts>("Manufacturing complete", "final payment", (facts) => facts.manufacturingComplete),
  CE4: edge<VehicleFacts>("Final payment", "vehicle registered", (facts) => facts.finalPaymentReceived),
  CE5: edge<VehicleFacts>(
    "Vehicle registered",
    "transport arranged",
    (facts) => facts.registrationDocumentRecorded,
  ),
  CE6: edge<VehicleFacts>("Transport arranged", "vehicle delivery", (facts) => facts.transportArranged),
};

export const activationEdges = {
  // A selection stands only while the one who made it owns a delivered, linked car: it may be resold meanwhile.
  CE7: edge<ActivationFacts>(
    "Service selected by the owner",
    "maintenance validated",
    (facts) => isVehicleReadyForServices(facts) && facts.requesterIsCurrentOwner,
  ),
  CE8: edge<ActivationFacts>("Maintenance validated", "payment processed", isMaintenanceGatePassed),
  CE9: edge<ActivationFacts>("Payment processed", "OTA activation", (facts) => facts.paymentConfirmed),
};

export type VehicleDependencyId = keyof typeof vehicleDependencies | keyof typeof vehicleEdges;
export type ActivationDependencyId = keyof typeof activationDependencies | keyof typeof activationEdges;
