import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ActivationEvent, type ActivationState, activationMachine } from "./activation-machine.ts";
import { decide, isFinal } from "./interpreter.ts";
import type { ActivationFacts, Decision } from "./types.ts";

/** Written from the specification's diagram by hand: a table cannot vouch for itself. */
type Place = ActivationState | "start" | "end";
const drawn: [id: string, from: Place, event: ActivationEvent, to: ActivationState][] = [
  ["SA1", "start", "serviceSelected", "ServiceSelected"],
  ["SA2", "ServiceSelected", "validationStarted", "MaintenanceCheck"],
  ["SA3", "MaintenanceCheck", "maintenanceCurrent", "PaymentInitiated"],
  ["SA4", "MaintenanceCheck", "maintenanceOverdue", "ServiceDenied"],
  ["SA6", "PaymentInitiated", "paymentAuthorised", "OTAQueue"],
  ["SA7", "PaymentInitiated", "paymentRejected", "PaymentFailed"],
  ["SA9", "OTAQueue", "attemptStarted", "OTAAttempt"],
  ["SA10", "OTAAttempt", "activationConfirmed", "ServiceActive"],
  ["SA11", "OTAAttempt", "attemptFailed", "RetryQueue"],
  ["SA12", "RetryQueue", "retryStarted", "OTAAttempt"],
  ["SA13", "RetryQueue", "attemptsExhausted", "TechnicalSupport"],
  ["SA14", "TechnicalSupport", "ticketCreated", "CustomerNotified"],
  ["SA15", "CustomerNotified", "chargeReleased", "NoCharge"],
  ["SX1", "MaintenanceCheck", "maintenanceUnavailable", "ServiceDenied"],
  ["SX2", "MaintenanceCheck", "maintenanceNotRequired", "PaymentInitiated"],
  ["SX3", "OTAQueue", "holdExpired", "TechnicalSupport"],
  ["SX4", "OTAAttempt", "holdExpired", "TechnicalSupport"],
  ["SX5", "RetryQueue", "holdExpired", "TechnicalSupport"],
  ["SX6", "ServiceSelected", "customerCancelled", "NoCharge"],
  ["SX7", "MaintenanceCheck", "customerCancelled", "NoCharge"],
  ["SX8", "PaymentInitiated", "customerCancelled", "NoCharge"],
  ["SX9", "OTAQueue", "customerCancelled", "NoCharge"],
  ["SX10", "RetryQueue", "customerCancelled", "NoCharge"],
  ["SX11", "OTAAttempt", "customerCancelled", "NoCharge"],
  ["SX12", "PaymentInitiated", "paymentPresumed", "OTAQueue"],
  ["SX13", "OTAQueue", "presumptionRefuted", "PaymentFailed"],
  ["SX14", "OTAAttempt", "presumptionRefuted", "PaymentFailed"],
  ["SX15", "RetryQueue", "presumptionRefuted", "PaymentFailed"],
];

const places: Place[] = [
  "start",
  "ServiceSelected",
  "MaintenanceCheck",
  "PaymentInitiated",
  "ServiceDenied",
  "OTAQueue",
  "PaymentFailed",
  "OTAAttempt",
  "ServiceActive",
  "RetryQueue",
  "TechnicalSupport",
  "CustomerNotified",
  "NoCharge",
  "end",
];
const events: ActivationEvent[] = [...new Set(drawn.map(([, , event]) => event))];

/** A delivered, linked, maintained car of the asking owner, paid, with the attempts the event needs. */
function favour(event: ActivationEvent): ActivationFacts {
  return {
    vehicleOperational: true,
    appLinked: true,
    requesterIsCurrentOwner: true,
    serviceDependsOnMaintenance: event !== "maintenanceNotRequired",
    maintenanceValidated: true,
    paymentConfirmed: true,
    attemptsUsed: event === "attemptsExhausted" ? 5 : 1,
    attemptsAllowed: 5,
  };
}

describe("the activation's states [SS1–SS12]", () => {
  it("are the diagram's twelve and no others", () => {
    expect([...activationMachine.states].sort()).toEqual(
      places.filter((place) => place !== "start" && place !== "end").sort(),
    );
    expect([...activationMachine.events].sort()).toEqual([...events].sort());
    expect(activationMachine.arrows).toHaveLength(drawn.length);
  });

  it("are all reached from a selection", () => {
    const reached = new Set<Place>();
    const pending: Place[] = ["start"];
    for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
      if (reached.has(place)) continue;
      reached.add(place);
      for (const event of events) {
        const decision = decide(activationMachine, place, event, favour(event));
        if (decision.kind === "moved") pending.push(decision.to);
      }
    }
    expect([...reached].sort()).toEqual(places.filter((place) => place !== "end").sort());
  });

  it("denied, unpaid, not charged and active end the process; nothing else does [SA5, SA8, SA16, SA17]", () => {
    const final = places.filter((place) => isFinal(activationMachine, place));
    expect(final.sort()).toEqual(
      ["NoCharge", "PaymentFailed", "ServiceActive", "ServiceDenied", "end"].sort(),
    );
    expect(activationMachine.endings.map(({ id, from }) => [id, from])).toEqual([
      ["SA5", "ServiceDenied"],
      ["SA8", "PaymentFailed"],
      ["SA16", "NoCharge"],
      ["SA17", "ServiceActive"],
    ]);
  });
});

describe("every event in every state [SA1–SA15]", () => {
  const pairs = places.flatMap((from) =>
    events.map((event) => {
      const row = drawn.find((line) => line[1] === from && line[2] === event);
      return { from, event, id: row?.[0] ?? null, to: row?.[3] ?? null };
    }),
  );

  it.each(pairs.filter((pair) => pair.id !== null))("$event takes $from to $to [$id]", (pair) => {
    expect(decide(activationMachine, pair.from, pair.event, favour(pair.event))).toMatchObject({
      kind: "moved",
      arrowId: pair.id,
      from: pair.from,
      to: pair.to,
    });
  });

  it.each(pairs.filter((pair) => pair.id === null))("$from refuses $event", (pair) => {
    const decision = decide(activationMachine, pair.from, pair.event, favour(pair.event));
    expect(decision).toMatchObject({ kind: "refused", code: "noArrow", rule: "activation" });
    const possible = drawn.filter((line) => line[1] === pair.from).map((line) => line[2]);
    if (decision.kind !== "refused") return;
    expect([...decision.possible].sort()).toEqual([...possible].sort());
    const now = { start: "it has not begun", end: "it is over" }[String(pair.from)] ?? `it is ${pair.from}`;
    const where = drawn
      .filter((line) => line[2] === pair.event && line[1] !== "start")
      .map((line) => line[1]);
    for (const words of [now, "is possible for the activation in", ...where, "Service Activation States"])
      expect(decision.message).toContain(words);
  });
});

describe("what an arrow waits for", () => {
  const overdue = { maintenanceValidated: false };
  // biome-ignore format: one row a line
  const guarded: [
    title: string,
    from: Place,
    event: ActivationEvent,
    missing: Partial<ActivationFacts>,
    rule: string,
  ][] = [
    ["no service for a car that is not operational [DE12]",     "start",            "serviceSelected",        { vehicleOperational: false },         "DE12"],
    ["no service for a car without a linked app [DE12]",        "start",            "serviceSelected",        { appLinked: false },                  "DE12"],
    ["a former owner selects nothing [SA1]",                    "start",            "serviceSelected",        { requesterIsCurrentOwner: false },    "AG5"],
    ["a former owner's selection is not validated [DE11]",      "ServiceSelected",  "validationStarted",      { requesterIsCurrentOwner: false },    "CE7"],
    ["no validation for a car that left operation [DE11]",      "ServiceSelected",  "validationStarted",      { vehicleOperational: false },         "CE7"],
    ["no payment before maintenance is validated [DE5]",        "MaintenanceCheck", "maintenanceCurrent",     overdue,                               "DE5"],
    ["a dependent service cannot skip the check [DE7]",         "MaintenanceCheck", "maintenanceNotRequired", { serviceDependsOnMaintenance: true }, "AG6"],
    ["no money before the check is passed [DE11]",              "PaymentInitiated", "paymentAuthorised",      overdue,                               "CE8"],
    ["no money for a car that left operation [DE11]",           "PaymentInitiated", "paymentAuthorised",      { vehicleOperational: false },         "DE11"],
    ["no presumption before the check is passed either [DE11]", "PaymentInitiated", "paymentPresumed",        overdue,                               "CE8"],
    ["no presumption for a car that left operation [DE11]",     "PaymentInitiated", "paymentPresumed",        { vehicleOperational: false },         "DE11"],
    ["nothing is sent before the payment is confirmed [DE6]",   "OTAQueue",         "attemptStarted",         { paymentConfirmed: false },           "DE6"],
    ["nothing is sent before maintenance is validated [DE7]",   "OTAQueue",         "attemptStarted",         overdue,                               "DE7"],
    ["a retry needs the payment too [DE6]",                     "RetryQueue",       "retryStarted",           { paymentConfirmed: false },           "DE6"],
    ["no retry beyond the fourth [SA12]",                       "RetryQueue",       "retryStarted",           { attemptsUsed: 5 },                   "AG7"],
    ["support is not alarmed while retries remain [SA13]",      "RetryQueue",       "attemptsExhausted",      { attemptsUsed: 4 },                   "AG8"],
  ];

  it.each(guarded)("%s", (_title, from, event, missing, rule) => {
    expect(decide(activationMachine, from, event, favour(event)).kind).toBe("moved");
    expect(decide(activationMachine, from, event, { ...favour(event), ...missing })).toMatchObject({
      kind: "refused",
      code: "guard",
      rule,
    });
  });

  it("overdue maintenance blocks only the services that depend on it [DE7]", () => {
    const exempt = { ...favour("attemptStarted"), ...overdue, serviceDependsOnMaintenance: false };
    expect(decide(activationMachine, "MaintenanceCheck", "maintenanceNotRequired", exempt).kind).toBe(
      "moved",
    );
    expect(decide(activationMachine, "PaymentInitiated", "paymentAuthorised", exempt).kind).toBe("moved");
    expect(decide(activationMachine, "OTAQueue", "attemptStarted", exempt).kind).toBe("moved");
  });

  it("at every count exactly one of retry and support is open [SA12, SA13]", () => {
    for (let attemptsUsed = 1; attemptsUsed <= 6; attemptsUsed += 1) {
      const facts = { ...favour("retryStarted"), attemptsUsed };
      const retry = decide(activationMachine, "RetryQueue", "retryStarted", facts).kind;
      const support = decide(activationMachine, "RetryQueue", "attemptsExhausted", facts).kind;
      expect([retry, support]).toEqual(attemptsUsed < 5 ? ["moved", "refused"] : ["refused", "moved"]);
    }
  });
});

describe("what an arrow says and who does it", () => {
  const told: Partial<Record<string, string[]>> = {
    SA4: ["NT15"],
    SX1: ["NT15"],
    SA10: ["NT10"],
    SA13: ["NT12"],
    SX3: ["NT12"],
    SX4: ["NT12"],
    SX5: ["NT12"],
    SA14: ["NT11"],
  };

  it("each message leaves with its arrow, and no other arrow sends one [NT10, NT11, NT12, NT15]", () => {
    for (const [id, from, event] of drawn) {
      expect([id, decide(activationMachine, from, event, favour(event))]).toMatchObject([
        id,
        { notifies: told[id] ?? [] },
      ]);
    }
  });

  it("only the selection is a person's step, the rest of the activation runs unaided [AU12–AU17]", () => {
    const steps = Object.fromEntries(
      drawn.map(([id, from, event]) => {
        const decision = decide(activationMachine, from, event, favour(event));
        if (decision.kind === "refused") throw new Error(`${id} is refused`);
        return [id, decision.automation === null ? null : `${decision.automation} ${decision.automatic}`];
      }),
    );
    expect(steps).toEqual({
      SA1: "AU12 false",
      SA2: "AU13 true",
      SA3: "AU13 true",
      SA4: "AU13 true",
      SX1: "AU13 true",
      SX2: "AU13 true",
      SA6: "AU14 true",
      SA7: "AU14 true",
      SA9: "AU15 true",
      SA10: "AU15 true",
      SA11: "AU15 true",
      SA12: "AU16 true",
      SA13: "AU17 true",
      SA14: "AU17 true",
      SA15: "AU14 true",
      SX3: null,
      SX4: null,
      SX5: null,
      SX6: null,
      SX7: null,
      SX8: null,
      SX9: null,
      SX10: null,
      SX11: null,
      SX12: "AU14 true",
      SX13: "AU14 true",
      SX14: "AU14 true",
      SX15: "AU14 true",
    });
  });
});

describe("any sequence of events", () => {
  const anyFacts = fc.record({
    vehicleOperational: fc.boolean(),
    appLinked: fc.boolean(),
    requesterIsCurrentOwner: fc.boolean(),
    serviceDependsOnMaintenance: fc.boolean(),
    maintenanceValidated: fc.boolean(),
    paymentConfirmed: fc.boolean(),
    attemptsUsed: fc.nat({ max: 7 }),
    attemptsAllowed: fc.constant(5),
  });

  it("never leaves the diagram, and what is over stays over [SS1–SS12]", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom(...events), fc.oneof(anyFacts, fc.constant(null))), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(steps, (sequence) => {
        let place: Place = "start";
        for (const [event, facts] of sequence) {
          const decision: Decision<ActivationState> = decide(
            activationMachine,
            place,
            event,
            facts ?? favour(event),
          );
          if (decision.kind === "refused") continue;
          if (isFinal(activationMachine, place)) return false;
          if (decision.from !== place) return false;
          place = decision.to;
          if (!places.includes(place)) return false;
        }
        return true;
      }),
    );
  });

  it("no sequence reaches an attempt without a confirmed payment [DE6]", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...events), { maxLength: 60 }), (sequence) => {
        let place: Place = "start";
        for (const event of sequence) {
          const decision: Decision<ActivationState> = decide(activationMachine, place, event, {
            ...favour(event),
            paymentConfirmed: false,
          });
          if (decision.kind === "moved") place = decision.to;
          if (place === "OTAAttempt" || place === "ServiceActive") return false;
        }
        return true;
      }),
    );
  });
});
