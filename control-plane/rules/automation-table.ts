/** Specification: "Automated vs Manual Operational Steps". */
export const automationSection = "Automated vs Manual Operational Steps";

export type AutomationLevel =
  | "manualEntry"
  | "manualInitiation"
  | "manual"
  | "semiAutomated"
  | "automated"
  | "automatedCall"
  | "automatedAlert"
  | "fullyAutomated";

/** Whether a step of this level runs without a person starting it. Half-automated transport still waits for one. */
export function isAutomaticLevel(level: AutomationLevel): boolean {
  switch (level) {
    case "automated":
    case "automatedCall":
    case "automatedAlert":
    case "fullyAutomated":
      return true;
    case "manualEntry":
    case "manualInitiation":
    case "manual":
    case "semiAutomated":
      return false;
  }
}

export type AutomationRow = { step: string; level: AutomationLevel; actor: string; trigger: string };

export const automationTable = {
  AU1: {
    step: "Sales registration in intranet",
    level: "manualEntry",
    actor: "Dealership employee",
    trigger: "Customer completes sale",
  },
  AU2: {
    step: "Customer credential generation",
    level: "fullyAutomated",
    actor: "System",
    trigger: "Sales registration complete",
  },
  AU3: {
    step: "Credential e-mail delivery",
    level: "fullyAutomated",
    actor: "E-mail service",
    trigger: "Credentials generated",
  },
  AU4: {
    step: "Factory order placement",
    level: "fullyAutomated",
    actor: "Factory API integration",
    trigger: "Reservation payment received",
  },
  AU5: {
    step: "Manufacturing status notifications",
    level: "fullyAutomated",
    actor: "Factory webhooks",
    trigger: "Manufacturing milestones",
  },
  AU6: {
    step: "Customer status notifications",
    level: "fullyAutomated",
    actor: "Notification engine",
    trigger: "Factory status received",
  },
  AU7: {
    step: "Final payment processing",
    level: "manualInitiation",
    actor: "Customer",
    trigger: "Vehicle ready notification",
  },
  AU8: {
    step: "Vehicle registration with admin bodies",
    level: "automatedCall",
    actor: "Admin API integration",
    trigger: "Final payment confirmed",
  },
  AU9: {
    step: "Transport arrangement",
    level: "semiAutomated",
    actor: "Dealership and transport company",
    trigger: "Vehicle registered",
  },
  AU10: {
    step: "Home delivery attempt",
    level: "manual",
    actor: "Transport driver",
    trigger: "Transport scheduled",
  },
  AU11: {
    step: "Mobile app linking",
    level: "manual",
    actor: "Customer and support",
    trigger: "Vehicle delivered",
  },
  AU12: { step: "Service browsing", level: "manual", actor: "Customer", trigger: "Customer initiative" },
  AU13: {
    step: "Maintenance status check",
    level: "fullyAutomated",
    actor: "VSS API integration",
    trigger: "Service selection",
  },
  AU14: {
    step: "Service payment processing",
    level: "automated",
    actor: "Payment gateway",
    trigger: "Customer confirms purchase",
  },
  AU15: {
    step: "OTA service activation",
    level: "fullyAutomated",
    actor: "OTA engine and API IoT",
    trigger: "Payment successful",
  },
  AU16: {
    step: "OTA retry logic",
    level: "fullyAutomated",
    actor: "OTA engine",
    trigger: "Activation failure",
  },
  AU17: {
    step: "Technical support escalation",
    level: "automatedAlert",
    actor: "System to support team",
    trigger: "All retries failed",
  },
  AU18: {
    step: "Maintenance recording",
    level: "manual",
    actor: "Workshop technician",
    trigger: "Service completed",
  },
} as const satisfies Record<string, AutomationRow>;

export type AutomationId = keyof typeof automationTable;

/** Whether the step of this row runs unaided: the numerator of "process automation percentage" (HI8). */
export function isAutomatic(id: AutomationId): boolean {
  return isAutomaticLevel(automationTable[id].level);
}
