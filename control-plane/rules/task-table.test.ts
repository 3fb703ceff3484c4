import { describe, expect, it } from "vitest";
import { describeTask, type NewTask, taskTable } from "./task-table.ts";

// biome-ignore format: one row a line
const tasks: [needed: NewTask, team: string, title: string][] = [
  [{ kind: "activationFailed", facts: { service: "Heated seats" } }, "support",    "Heated seats could not be activated"],
  [{ kind: "planNotApplied" },                                "support",    "A car could not apply the configuration of its plan comercial"],
  [{ kind: "captureFailed" },                                 "support",    "A service is active and its payment could not be taken"],
  [{ kind: "refundRefused" },                                 "support",    "The gateway did not take a refund"],
  [{ kind: "paymentContradiction" },                          "support",    "The gateway took money for a payment that had ended"],
  [{ kind: "otherAmountTaken" },                              "dealership", "The gateway took another amount than the price"],
  [{ kind: "paymentMismatch" },                               "dealership", "The gateway's record of a payment is not of the payment that we made"],
  [{ kind: "refundFailed" },                                  "dealership", "A refund came back: the customer does not have the money"],
  [{ kind: "givenBackTwice" },                                "dealership", "A payment was refunded and charged back: the money left twice"],
  [{ kind: "chargeBack" },                                    "dealership", "A bank took a payment back: answer it at the gateway, or let it be"],
  [{ kind: "chargeBackWon" },                                 "dealership", "A charge-back was decided for us: the customer has paid; see what they are owed"],
  [{ kind: "paymentNotMade" },                                "dealership", "A payment could not be made, and no bank refused it"],
  [{ kind: "paymentUnanswered" },                             "dealership", "The gateway does not answer about a payment"],
  [{ kind: "secondLook" },                                    "dealership", "A colleague recorded a payment: look at the account and say whether it is there"],
  [{ kind: "readyNoticeStalled" },                            "dealership", "A car is ready and its customer could not be told: please call them"],
  [{ kind: "carDoubted", facts: { what: "why" } },            "support",    "A car may not be what it says: why"],
  [{ kind: "mailUndeliverable", facts: { event: "Paid" } },   "dealership", "The customer could not be reached by e-mail: Paid"],
  [{ kind: "transportRefused", facts: { reference: "T1" } },  "dealership", "The carrier refused transport T1"],
  [{ kind: "messageNotTaken", facts: { partner: "factory", type: "order.completed" } }, "support", "A message of the factory could not be taken: order.completed"],
  [{ kind: "carrierHasOldContact", facts: { what: "address", reference: "EXP-1" } }, "dealership", "The carrier has the old address of EXP-1"],
  [{ kind: "transportNotCalledOff", facts: { reference: "T1" } }, "dealership", "The carrier did not call off transport T1, which is not needed any more"],
  [{ kind: "orderRefused", facts: { reference: "O1" } },      "dealership", "The factory refused order O1"],
  [{ kind: "registrationRefused", facts: { reference: "R1" } }, "dealership", "The authority refused registration R1"],
  [{ kind: "partnerUnreachable", facts: { partner: "carrier", reference: "T1" } }, "dealership", "The carrier does not answer about T1"],
  [{ kind: "partnerSilent", facts: { partner: "factory", reference: "O1" } }, "dealership", "The factory has no news of O1"],
];

describe("tasks for people", () => {
  it.each(tasks)("%j is the %s's: %s", (needed, team, title) => {
    expect(describeTask(needed, {})).toMatchObject({ team, title });
  });

  it("are these and no others", () => {
    expect(Object.keys(taskTable).sort()).toEqual(tasks.map(([{ kind }]) => kind).sort());
  });

  it("a refused registration or order says by which act its partner is asked again [25]", () => {
    const toDo = (kind: "registrationRefused" | "orderRefused") =>
      describeTask({ kind, facts: { reference: "1" } }, {}).toDo;
    expect(toDo("registrationRefused")).toContain("/registration/retry");
    expect(toDo("orderRefused")).toContain("/retry");
  });

  it("a charge-back is support's where a service was paid, the dealership's where a sale was [FA5]", () => {
    for (const kind of ["chargeBack", "chargeBackWon"] as const) {
      expect(describeTask({ kind }, { activationId: "1" }).team).toBe("support");
      expect(describeTask({ kind }, {}).team).toBe("dealership");
    }
    expect(describeTask({ kind: "refundRefused" }, {}).team).toBe("support");
    expect(
      describeTask({ kind: "mailUndeliverable", facts: { event: "x" } }, { activationId: "1" }).team,
    ).toBe("dealership");
  });
});
