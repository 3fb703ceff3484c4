import { expect, test } from "vitest";
import { judgeCorrection } from "./buyer-correction.ts";

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
