import { describe, expect, test } from "vitest";
import { type Case, judge } from "./verdict.ts";

const denied: Case = {
  name: "Heated seats",
  state: "ServiceDenied",
  end_reason: "maintenanceOverdue",
  status: null,
  decline_reason: null,
  refunded_cents: null,
  presumption: null,
  reconcile_by: null,
  waits: null,
  entitlement_end: null,
  charged: false,
  active: false,
};

describe("why a service was denied", () => {
  test("overdue maintenance and silent workshops are two sentences [N8]", () => {
    const overdue = judge(denied);
    const silent = judge({ ...denied, end_reason: "maintenanceUnavailable" });
    expect(overdue).toMatch(
      /^Heated seats is not active: its maintenance is overdue;.* Nothing was charged\.$/,
    );
    expect(silent).toMatch(
      /^Heated seats is not active: the workshops gave no clear answer.* Nothing was charged\.$/,
    );
    expect(silent).not.toMatch(/overdue/);
  });
});
