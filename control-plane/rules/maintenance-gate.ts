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

/**
 * Decides what the maintenance check means for one service ("Dependency Rules": overdue maintenance blocks only the
 * services that depend on it). Whatever is not a clear "current" denies: "Standard Failure Recovery Patterns",
 * maintenance status check failure, fail-safe.
 */
export function decideMaintenanceGate(
  service: { dependsOnMaintenance: boolean },
  status: MaintenanceStatus,
): MaintenanceVerdict {
  if (!service.dependsOnMaintenance) {
    return {
      event: "maintenanceNotRequired",
      maintenanceValidated: false,
      mayRetryLater: false,
      reason: "This service does not depend on the vehicle's maintenance.",
    };
  }
  switch (status) {
    case "current":
      return {
        event: "maintenanceCurrent",
        maintenanceValidated: true,
        mayRetryLater: false,
        reason: "The workshops confirm that maintenance is current.",
      };
    case "overdue":
      return {
        event: "maintenanceOverdue",
        maintenanceValidated: false,
        mayRetryLater: false,
        reason: "Maintenance is overdue; the service is open again after a visit to a workshop.",
      };
    case "unavailable":
      return {
        event: "maintenanceUnavailable",
        maintenanceValidated: false,
        mayRetryLater: true,
        reason: "The workshops cannot be reached at the moment; please try again later.",
      };
    case "unknown":
      return {
        event: "maintenanceUnavailable",
        maintenanceValidated: false,
        mayRetryLater: true,
        reason: "The workshops gave no clear answer about this vehicle; please try again later.",
      };
  }
}
