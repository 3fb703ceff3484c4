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

function step(name: string, level: AutomationLevel, actor: string, trigger: string): AutomationRow {
  return { step: name, level, actor, trigger };
}

// biome-ignore format: one row a line
export const automationTable = {
  //          step                                    level               actor or system                     set off by
  AU1:  step("Sales registration in intranet",         "manualEntry",      "Dealership employee",              "Customer completes sale"),
  AU2:  step("Customer credential generation",         "fullyAutomated",   "System",                           "Sales registration complete"),
  AU3:  step("Credential e-mail delivery",             "fullyAutomated",   "E-mail service",                   "Credentials generated"),
  AU4:  step("Factory order placement",                "fullyAutomated",   "Factory API integration",          "Reservation payment received"),
  AU5:  step("Manufacturing status notifications",     "fullyAutomated",   "Factory webhooks",                 "Manufacturing milestones"),
  AU6:  step("Customer status notifications",          "fullyAutomated",   "Notification engine",              "Factory status received"),
  AU7:  step("Final payment processing",               "manualInitiation", "Customer",                         "Vehicle ready notification"),
  AU8:  step("Vehicle registration with admin bodies", "automatedCall",    "Admin API integration",            "Final payment confirmed"),
  AU9:  step("Transport arrangement",                  "semiAutomated",    "Dealership and transport company", "Vehicle registered"),
  AU10: step("Home delivery attempt",                  "manual",           "Transport driver",                 "Transport scheduled"),
  AU11: step("Mobile app linking",                     "manual",           "Customer and support",             "Vehicle delivered"),
  AU12: step("Service browsing",                       "manual",           "Customer",                         "Customer initiative"),
  AU13: step("Maintenance status check",               "fullyAutomated",   "VSS API integration",              "Service selection"),
  AU14: step("Service payment processing",             "automated",        "Payment gateway",                  "Customer confirms purchase"),
  AU15: step("OTA service activation",                 "fullyAutomated",   "OTA engine and API IoT",           "Payment successful"),
  AU16: step("OTA retry logic",                        "fullyAutomated",   "OTA engine",                       "Activation failure"),
  AU17: step("Technical support escalation",           "automatedAlert",   "System to support team",           "All retries failed"),
  AU18: step("Maintenance recording",                  "manual",           "Workshop technician",              "Service completed"),
};

export type AutomationId = keyof typeof automationTable;

/** Whether the step of this row runs unaided: the numerator of "process automation percentage" (HI8). */
export function isAutomatic(id: AutomationId): boolean {
  return isAutomaticLevel(automationTable[id].level);
}
