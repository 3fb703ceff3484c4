import { describe, expect, it } from "vitest";
import { decideMaintenanceGate, type MaintenanceStatus } from "./maintenance-gate.ts";

const dependent = { dependsOnMaintenance: true };
const independent = { dependsOnMaintenance: false };

describe("the maintenance gate", () => {
  const verdicts: [string, MaintenanceStatus, string, boolean, boolean][] = [
    ["DE5: current maintenance opens the payment", "current", "maintenanceCurrent", true, false],
    ["DE5: overdue maintenance denies the service", "overdue", "maintenanceOverdue", false, false],
    ["FA11: unreachable workshops deny, to be safe", "unavailable", "maintenanceUnavailable", false, true],
    ["FA11: a senseless answer denies, to be safe", "unknown", "maintenanceUnavailable", false, true],
  ];

  it.each(verdicts)("%s", (_title, status, event, maintenanceValidated, mayRetryLater) => {
    const verdict = decideMaintenanceGate(dependent, status);
    expect(verdict).toMatchObject({ event, maintenanceValidated, mayRetryLater });
    expect(verdict.reason).toMatch(/^The workshops|^Maintenance/);
  });

  it.each(["current", "overdue", "unavailable", "unknown"] as const)(
    "DE7: a service that does not depend on maintenance is never blocked, even by %s",
    (status) => {
      expect(decideMaintenanceGate(independent, status)).toMatchObject({
        event: "maintenanceNotRequired",
        maintenanceValidated: false,
      });
    },
  );
});
