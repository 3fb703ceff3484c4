import { describe, expect, it } from "vitest";
import { decideMaintenanceGate, type MaintenanceStatus } from "./maintenance-gate.ts";

const dependent = { dependsOnMaintenance: true };
const independent = { dependsOnMaintenance: false };

describe("the maintenance gate", () => {
  const verdicts: [string, MaintenanceStatus, string, boolean, boolean][] = [
    ["current maintenance opens the payment [DE5]", "current", "maintenanceCurrent", true, false],
    ["overdue maintenance denies the service [DE5]", "overdue", "maintenanceOverdue", false, false],
    ["unreachable workshops deny, to be safe [FA11]", "unavailable", "maintenanceUnavailable", false, true],
    ["a senseless answer denies, to be safe [FA11]", "unknown", "maintenanceUnavailable", false, true],
  ];

  it.each(verdicts)("%s", (_title, status, event, maintenanceValidated, mayRetryLater) => {
    const verdict = decideMaintenanceGate(dependent, status);
    expect(verdict).toMatchObject({ event, maintenanceValidated, mayRetryLater });
    expect(verdict.reason).toMatch(/^The workshops|^Maintenance/);
  });

  it.each(["current", "overdue", "unavailable", "unknown"] as const)(
    "a service that does not depend on maintenance is never blocked, even by %s [DE7]",
    (status) => {
      expect(decideMaintenanceGate(independent, status)).toMatchObject({
        event: "maintenanceNotRequired",
        maintenanceValidated: false,
      });
    },
  );
});
