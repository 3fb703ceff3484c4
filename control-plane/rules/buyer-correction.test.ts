import { expect, test } from "vitest";
import { adviseCorrected, judgeCorrection } from "./buyer-correction.ts";

const open = { saleStatus: "open", physicallyDelivered: false, transport: "none" } as const;

test.each([
  ["a sale whose car is being built", open, { kind: "allowed", carrierHasTheOldOne: false }],
  ["a car on its way", { ...open, transport: "arranged" }, { kind: "allowed", carrierHasTheOldOne: true }],
  ["a carrier being asked", { ...open, transport: "beingAsked" }, { kind: "refused", rule: "BC2" }],
  ["a car that was handed over", { ...open, physicallyDelivered: true }, { kind: "refused", rule: "BC1" }],
  ["a completed sale", { ...open, saleStatus: "completed" }, { kind: "refused", rule: "BC1" }],
  ["a lost reservation", { ...open, saleStatus: "reservationLost" }, { kind: "refused", rule: "BC1" }],
  ["a cancelled sale", { ...open, saleStatus: "cancelled" }, { kind: "refused", rule: "BC1" }],
] as const)("%s: whether its address may be corrected [F20]", (_what, facts, judged) => {
  expect(judgeCorrection(facts)).toMatchObject(judged);
});

const inTransit = {
  corrected: ["address"],
  carrierHasTheOldOne: true,
  vehicleState: "InTransit",
  isRegistered: false,
  mayArrangeTransports: true,
} as const;

test.each([
  [
    "in transit",
    inTransit,
    ["the carrier has the transport with the old address: arrange another one in its place"],
  ],
  [
    "at the customer's door [5]",
    { ...inTransit, vehicleState: "DeliveryAttempt" },
    [
      "the carrier has the transport with the old address: no other one can be arranged while the car is DeliveryAttempt, so tell the carrier by telephone",
    ],
  ],
  [
    "by support [6]",
    { ...inTransit, mayArrangeTransports: false },
    ["the carrier has the transport with the old address: the dealership has a task to tell it"],
  ],
  [
    "after registration [7]",
    { ...inTransit, carrierHasTheOldOne: false, isRegistered: true },
    ["the registration document has the old address: have the authority change it"],
  ],
  [
    "after registration, of the telephone alone [7]",
    { ...inTransit, corrected: ["telephone number"], carrierHasTheOldOne: false, isRegistered: true },
    [],
  ],
  ["before anything", { ...inTransit, carrierHasTheOldOne: false }, []],
] as const)("the notes of a correction advise only the possible: %s", (_what, facts, notes) => {
  expect(adviseCorrected(facts).notes).toEqual(notes);
});

test("the dealership gets a task where the carrier has the old address and support corrected it [6]", () => {
  const byStaff = (more: object) => adviseCorrected({ ...inTransit, ...more }).isForDealership;
  expect(byStaff({ mayArrangeTransports: false })).toBe(true);
  expect(byStaff({})).toBe(false);
  expect(byStaff({ mayArrangeTransports: false, carrierHasTheOldOne: false })).toBe(false);
});
