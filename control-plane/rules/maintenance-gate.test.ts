import { describe, expect, it } from "vitest";
import { decideMaintenanceGate, type MaintenanceStatus } from "./maintenance-gate.ts";

const dependent = { dependsOnMaintenance: true };
const independent = { dependsOnMaintenance: false };

describe("the maintenance gate", () => {
  const verdicts: [string, MaintenanceStatus, string, boolean, RegExp][] = [
    [
      "current maintenance opens the payment [DE5]",
      "current",
      "maintenanceCurrent",
      true,
      /^The workshops confirm/,
    ],
    [
      "overdue maintenance denies the service [DE5]",
      "overdue",
      "maintenanceOverdue",
      false,
      /^Maintenance is overdue.*after a visit/,
    ],
    [
      "unreachable workshops deny, to be safe [FA11]",
      "unavailable",
      "maintenanceUnavailable",
      false,
      /^The workshops.*try again later/,
    ],
    [
      "a senseless answer denies, to be safe [FA11]",
      "unknown",
      "maintenanceUnavailable",
      false,
      /^The workshops.*try again later/,
    ],
  ];

  it.each(verdicts)("%s", (_title, status, event, passes, reason) => {
    const verdict = decideMaintenanceGate(dependent, status);
    expect(verdict).toMatchObject({ event, passes });
    expect(verdict.reason).toMatch(reason);
  });

  it.each(["current", "overdue", "unavailable", "unknown"] as const)(
    "a service that does not depend on maintenance is never blocked, even by %s [DE7]",
    (status) => {
      expect(decideMaintenanceGate(independent, status)).toMatchObject({
        event: "maintenanceNotRequired",
        passes: true,
      });
    },
  );
});
