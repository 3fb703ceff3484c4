import type { ActivationEvent } from "./activation-machine.ts";

/** The workshops' answer. "unknown": they answered, but not about this car or not in words we can trust. */
export type MaintenanceStatus = "current" | "overdue" | "unavailable" | "unknown";

export type MaintenanceVerdict = {
  event: Extract<
    ActivationEvent,
    "maintenanceCurrent" | "maintenanceOverdue" | "maintenanceUnavailable" | "maintenanceNotRequired"
  >;
  /** The fact of the same name to store with the event. */
  maintenanceValidated: boolean;
  /** Whether asking again later, without a visit to the workshop, may end better. */
  mayRetryLater: boolean;
  reason: string;
};

const notRequired: MaintenanceVerdict = {
  event: "maintenanceNotRequired",
  maintenanceValidated: false,
  mayRetryLater: false,
  reason: "This service does not depend on the vehicle's maintenance.",
};

// biome-ignore format: one row a line, its reason below
const verdicts: Readonly<Record<MaintenanceStatus, MaintenanceVerdict>> = {
  current:     { event: "maintenanceCurrent",     maintenanceValidated: true,  mayRetryLater: false,
    reason: "The workshops confirm that maintenance is current." },
  overdue:     { event: "maintenanceOverdue",     maintenanceValidated: false, mayRetryLater: false,
    reason: "Maintenance is overdue; the service is open again after a visit to a workshop." },
  unavailable: { event: "maintenanceUnavailable", maintenanceValidated: false, mayRetryLater: true,
    reason: "The workshops cannot be reached at the moment; please try again later." },
  unknown:     { event: "maintenanceUnavailable", maintenanceValidated: false, mayRetryLater: true,
    reason: "The workshops gave no clear answer about this vehicle; please try again later." },
};

/**
 * Decides what the maintenance check means for one service ("Dependency Rules": overdue maintenance blocks only the
 * services that depend on it). Anything but a clear "current" denies: "Standard Failure Recovery Patterns",
 * maintenance status check failure, fail-safe.
 */
export function decideMaintenanceGate(
  service: { dependsOnMaintenance: boolean },
  status: MaintenanceStatus,
): MaintenanceVerdict {
  return service.dependsOnMaintenance ? verdicts[status] : notRequired;
}
