import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide, isFinal } from "./interpreter.ts";
import type { Decision, VehicleFacts } from "./types.ts";
import { type VehicleEvent, type VehicleState, vehicleMachine } from "./vehicle-machine.ts";

/** Written from the specification's diagram by hand: a table cannot vouch for itself. */
type Place = VehicleState | "start" | "end";
const drawn: [id: string, from: Place, event: VehicleEvent, to: Place][] = [
  ["VA1", "start", "factoryOrderPlaced", "Ordered"],
  ["VA2", "Ordered", "manufacturingStarted", "InManufacturing"],
  ["VA3", "InManufacturing", "manufacturingCompleted", "ReadyAtFactory"],
  ["VA4", "ReadyAtFactory", "customerNotified", "PaymentPending"],
  ["VA5", "PaymentPending", "vehicleRegistered", "Registered"],
  ["VA6", "PaymentPending", "finalPaymentFailed", "SinAsignar"],
  ["VA7", "SinAsignar", "markedForImmediateSale", "DealershipStock"],
  ["VA8", "DealershipStock", "soldToDifferentCustomer", "end"],
  ["VA9", "Registered", "transportArranged", "InTransit"],
  ["VA10", "InTransit", "arrivedAtCustomerAddress", "DeliveryAttempt"],
  ["VA11", "DeliveryAttempt", "customerPresent", "Delivered"],
  ["VA12", "DeliveryAttempt", "customerAbsent", "AtDealership"],
  ["VA13", "AtDealership", "customerPickedUp", "Delivered"],
  ["VA14", "Delivered", "appLinked", "Operational"],
  ["VA15", "Operational", "servicesChanged", "Operational"],
  ["VA16", "Operational", "endOfVehicleLife", "end"],
  ["VX1", "Ordered", "vinAssigned", "Ordered"],
  ["VX2", "InManufacturing", "vinAssigned", "InManufacturing"],
  ["VX3", "InManufacturing", "manufacturingProgressed", "InManufacturing"],
  ["VX4", "PaymentPending", "finalPaymentReceived", "PaymentPending"],
  ["VX5", "PaymentPending", "registrationRequested", "PaymentPending"],
  ["VX6", "InTransit", "transportStarted", "InTransit"],
  ["VX7", "InTransit", "transportReplaced", "InTransit"],
  ["VX8", "AtDealership", "returnedToDealership", "AtDealership"],
  ["VX9", "Ordered", "orderCancelled", "Ordered"],
  ["VX10", "InManufacturing", "orderCancelled", "InManufacturing"],
  ["VX11", "ReadyAtFactory", "orderCancelled", "SinAsignar"],
  ["VX12", "start", "stockCarReserved", "PaymentPending"],
];

const places: Place[] = [
  "start",
  "Ordered",
  "InManufacturing",
  "ReadyAtFactory",
  "PaymentPending",
  "Registered",
  "SinAsignar",
  "DealershipStock",
  "InTransit",
  "DeliveryAttempt",
  "Delivered",
  "AtDealership",
  "Operational",
  "end",
];
const events: VehicleEvent[] = [...new Set(drawn.map(([, , event]) => event))];

/** Everything an order needs has happened; a payment can only fail while it is outstanding. */
function favour(event: VehicleEvent): VehicleFacts {
  return {
    reservationPaid: true,
    factoryOrderPlaced: true,
    manufacturingComplete: true,
    finalPaymentReceived: event !== "finalPaymentFailed",
    registrationDocumentRecorded: true,
    transportArranged: true,
    physicallyDelivered: true,
    linkCodeProved: true,
    orderCancelled: false,
  };
}

describe("the vehicle's states [VS1–VS12]", () => {
  it("are the diagram's twelve and no others", () => {
    expect([...vehicleMachine.states].sort()).toEqual(
      places.filter((place) => place !== "start" && place !== "end").sort(),
    );
    expect([...vehicleMachine.events].sort()).toEqual([...events].sort());
    expect(vehicleMachine.arrows).toHaveLength(drawn.length);
  });

  it("are all reached from the factory order", () => {
    const reached = new Set<Place>();
    const pending: Place[] = ["Ordered"];
    for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
      if (reached.has(place)) continue;
      reached.add(place);
      for (const event of events) {
        const decision = decide(vehicleMachine, place, event, favour(event));
        if (decision.kind === "moved") pending.push(decision.to);
      }
    }
    expect([...reached].sort()).toEqual(places.filter((place) => place !== "start").sort());
  });

  it.each(places)("%s: the vehicle's life is over only at the end", (place) => {
    expect(isFinal(vehicleMachine, place)).toBe(place === "end");
  });
});

describe("every event in every state [VA1–VA16]", () => {
  const pairs = places.flatMap((from) =>
    events.map((event) => {
      const row = drawn.find((line) => line[1] === from && line[2] === event);
      return { from, event, id: row?.[0] ?? null, to: row?.[3] ?? null };
    }),
  );

  it.each(pairs.filter((pair) => pair.id !== null))("$event takes $from to $to [$id]", (pair) => {
    expect(decide(vehicleMachine, pair.from, pair.event, favour(pair.event))).toMatchObject({
      kind: "moved",
      arrowId: pair.id,
      from: pair.from,
      to: pair.to,
    });
  });

  it.each(pairs.filter((pair) => pair.id === null))("$from refuses $event", (pair) => {
    const decision = decide(vehicleMachine, pair.from, pair.event, favour(pair.event));
    expect(decision).toMatchObject({ kind: "refused", code: "noArrow", rule: "vehicle" });
    const possible = drawn.filter((line) => line[1] === pair.from).map((line) => line[2]);
    if (decision.kind !== "refused") return;
    expect([...decision.possible].sort()).toEqual([...possible].sort());
    const now = { start: "it has not begun", end: "it is over" }[String(pair.from)] ?? `it is ${pair.from}`;
    const where = drawn
      .filter((line) => line[2] === pair.event && line[1] !== "start")
      .map((line) => line[1]);
    for (const words of [now, "is possible for the vehicle in", ...where, "Vehicle Operational States"])
      expect(decision.message).toContain(words);
  });
});

describe("what an arrow waits for", () => {
  // biome-ignore format: one row a line
  const guarded: [
    title: string,
    from: Place,
    event: VehicleEvent,
    missing: Partial<VehicleFacts>,
    rule: string,
  ][] = [
    ["no factory order before the reservation is paid [DE1]",  "start",           "factoryOrderPlaced",       { reservationPaid: false },              "DE1"],
    ["no stock car without a reservation either [DE1]",        "start",           "stockCarReserved",         { reservationPaid: false },              "DE1"],
    ["an unfinished car is not in stock [DE9]",                "start",           "stockCarReserved",         { manufacturingComplete: false },        "DE9"],
    ["nothing is built without a factory order [DE8]",         "Ordered",         "manufacturingStarted",     { factoryOrderPlaced: false },           "DE8"],
    ["no one is asked to pay for an unfinished car [DE9]",     "ReadyAtFactory",  "customerNotified",         { manufacturingComplete: false },        "DE9"],
    ["no one is asked to pay for a cancelled order",           "ReadyAtFactory",  "customerNotified",         { orderCancelled: true },                "AG4"],
    ["no final payment for an unfinished car [DE9]",           "PaymentPending",  "finalPaymentReceived",     { manufacturingComplete: false },        "DE9"],
    ["the authority is not asked before the payment [DE2]",    "PaymentPending",  "registrationRequested",    { finalPaymentReceived: false },         "DE2"],
    ["no registration before the final payment [DE2]",         "PaymentPending",  "vehicleRegistered",        { finalPaymentReceived: false },         "DE2"],
    ["no registration without its document [VA5]",             "PaymentPending",  "vehicleRegistered",        { registrationDocumentRecorded: false }, "AG1"],
    ["a late refusal does not lose a paid car [VA6]",          "PaymentPending",  "finalPaymentFailed",       { finalPaymentReceived: true },          "AG2"],
    ["no transport for an unregistered car [DE3]",             "Registered",      "transportArranged",        { registrationDocumentRecorded: false }, "DE3"],
    ["no arrival without transport [VA10]",                    "InTransit",       "arrivedAtCustomerAddress", { transportArranged: false },            "CE6"],
    ["no hand-over of an unpaid car [DE10]",                   "DeliveryAttempt", "customerPresent",          { finalPaymentReceived: false },         "DE10"],
    ["no hand-over of an unregistered car [DE10]",             "DeliveryAttempt", "customerPresent",          { registrationDocumentRecorded: false }, "DE10"],
    ["no pick-up of a car that was never on its way [DE10]",   "AtDealership",    "customerPickedUp",         { transportArranged: false },            "DE10"],
    ["no app link before the car is handed over [DE4]",        "Delivered",       "appLinked",                { physicallyDelivered: false },          "DE4"],
    ["no app link without the code on the car's display [VA14]","Delivered",       "appLinked",                { linkCodeProved: false },               "AG3"],
  ];

  it.each(guarded)("%s", (_title, from, event, missing, rule) => {
    expect(decide(vehicleMachine, from, event, favour(event)).kind).toBe("moved");
    expect(decide(vehicleMachine, from, event, { ...favour(event), ...missing })).toMatchObject({
      kind: "refused",
      code: "guard",
      rule,
    });
  });

  it("the refusal names the rule, the reason and the section [DE3]", () => {
    const decision = decide(vehicleMachine, "Registered", "transportArranged", {
      ...favour("transportArranged"),
      registrationDocumentRecorded: false,
    });
    if (decision.kind !== "refused") throw new Error("expected a refusal");
    expect(decision.section).toBe("Process Dependencies and Sequencing → Dependency Rules");
    expect(decision.message).toMatch(
      /Registered.*DE3.*unregistered vehicle cannot be transported.*no exception/,
    );
  });
});

describe("what an arrow says and who does it", () => {
  const told: Partial<Record<string, string[]>> = {
    VA1: ["NT2"],
    VA2: ["NT3"],
    VX3: ["NT3"],
    VA3: ["NT4"],
    VX4: ["NT5"],
    VA5: ["NT6"],
    VX6: ["NT7"],
    VA12: ["NT8"],
    VA14: ["NT9"],
  };
  const unaided = ["VA1", "VA2", "VA3", "VA4", "VA5", "VA15", "VX1", "VX2", "VX3", "VX5"];
  const byPeople = {
    VA6: "AU7",
    VX4: "AU7",
    VA9: "AU9",
    VX7: "AU9",
    VA10: "AU10",
    VA11: "AU10",
    VA12: "AU10",
    VA14: "AU11",
  };

  it("each message leaves with its arrow, and no other arrow sends one [NT2–NT9]", () => {
    for (const [id, from, event] of drawn) {
      expect([id, decide(vehicleMachine, from, event, favour(event))]).toMatchObject([
        id,
        { notifies: told[id] ?? [] },
      ]);
    }
  });

  it("these steps run unaided, every other step waits for a person [AU4, AU5, AU6, AU8, AU15]", () => {
    const automatic = drawn.filter(([, from, event]) => {
      const decision = decide(vehicleMachine, from, event, favour(event));
      return decision.kind === "moved" && decision.automatic;
    });
    expect(automatic.map(([id]) => id).sort()).toEqual([...unaided].sort());
  });

  it("a person's step names the row that says whose it is [AU7, AU9, AU10, AU11]", () => {
    const named = vehicleMachine.arrows.filter((row) => row.automation !== null && !unaided.includes(row.id));
    expect(Object.fromEntries(named.map((row) => [row.id, row.automation]))).toEqual(byPeople);
    expect(vehicleMachine.arrows.find((row) => row.id === "VA1")?.automation).toBe("AU4");
    expect(vehicleMachine.arrows.find((row) => row.id === "VA4")?.automation).toBe("AU6");
    expect(vehicleMachine.arrows.find((row) => row.id === "VA5")?.automation).toBe("AU8");
  });
});

describe("any sequence of events", () => {
  const anyFacts = fc.record({
    reservationPaid: fc.boolean(),
    factoryOrderPlaced: fc.boolean(),
    manufacturingComplete: fc.boolean(),
    finalPaymentReceived: fc.boolean(),
    registrationDocumentRecorded: fc.boolean(),
    transportArranged: fc.boolean(),
    physicallyDelivered: fc.boolean(),
    linkCodeProved: fc.boolean(),
    orderCancelled: fc.boolean(),
  });

  it("never leaves the diagram, and what is over stays over [VS1–VS12]", () => {
    const steps = fc.array(fc.tuple(fc.constantFrom(...events), fc.oneof(anyFacts, fc.constant(null))), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(steps, (sequence) => {
        let place: Place = "start";
        for (const [event, facts] of sequence) {
          const decision: Decision<VehicleState> = decide(
            vehicleMachine,
            place,
            event,
            facts ?? favour(event),
          );
          if (decision.kind === "refused") continue;
          if (isFinal(vehicleMachine, place)) return false;
          if (decision.from !== place) return false;
          place = decision.to;
          if (!places.includes(place)) return false;
        }
        return true;
      }),
    );
  });
});
