import type { ActivationEvent } from "./activation-machine.ts";

/** The workshops' answer. "unknown": they answered, but not about this car or not in words we can trust. */
export type MaintenanceStatus = "current" | "overdue" | "unavailable" | "unknown";

export type MaintenanceVerdict = {
  event: Extract<
    ActivationEvent,
    "maintenanceCurrent" | "maintenanceOverdue" | "maintenanceUnavailable" | "maintenanceNotRequired"
  >;
  /** Whether the service may be paid for. */
  passes: boolean;
  /** For the customer. */
  reason: string;
};

const notRequired: MaintenanceVerdict = {
  event: "maintenanceNotRequired",
  passes: true,
  reason: "This service does not depend on the vehicle's maintenance.",
};

// biome-ignore format: one row a line, its reason below
const verdicts: Readonly<Record<MaintenanceStatus, MaintenanceVerdict>> = {
  current:     { event: "maintenanceCurrent",     passes: true,
    reason: "The workshops confirm that maintenance is current." },
  overdue:     { event: "maintenanceOverdue",     passes: false,
    reason: "Maintenance is overdue; the service is open again after a visit to a workshop." },
  unavailable: { event: "maintenanceUnavailable", passes: false,
    reason: "The workshops cannot be reached at the moment; please try again later." },
  unknown:     { event: "maintenanceUnavailable", passes: false,
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
