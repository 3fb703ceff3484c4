import { additionSection } from "./additions.ts";
import { listPossibleEvents } from "./interpreter.ts";
import type { SaleStatus } from "./statuses.ts";
import type { Refused } from "./types.ts";
import { type VehicleState, vehicleMachine } from "./vehicle-machine.ts";

// The specification has a customer's data entered at the sale and never says how a mistake is mended.

/** When an address or a telephone number of a sale may be corrected, for documents and people. */
// biome-ignore format: one row a line, its reason below
export const correctionRules = {
  BC1: { text: "Staff may correct the address and the telephone number of a sale until its car is handed over",
    reason: "The carrier drives to that address; afterwards it is history, and the customer's own account is not the dealership's to change." },
  BC2: { text: "While the carrier is being asked for a transport, its address stays as it is",
    reason: "A request that may have arrived cannot be changed: the answer comes within moments, and then the correction is possible." },
  BC3: { text: "A carrier that has a transport already keeps the old address until another one is arranged in its place",
    reason: "The carrier takes an address with the order of a transport; FA16 has another one take its place." },
  BC4: { text: "Where the carrier has the old ones and somebody corrects them who may not arrange transports, the dealership gets a task",
    reason: "Support corrects, and only the dealership speaks to the carrier: otherwise the car drives to the old address." },
  BC5: { text: "A registration document keeps the address that it was issued with",
    reason: "The authority has it and changes it on request only; a note says so to the person who corrects." },
} as const;

export type CorrectionFacts = {
  saleStatus: SaleStatus;
  physicallyDelivered: boolean;
  transport: "none" | "beingAsked" | "arranged";
};

export function judgeCorrection(
  facts: CorrectionFacts,
): { kind: "allowed"; carrierHasTheOldOne: boolean } | Refused {
  if (facts.saleStatus !== "open" || facts.physicallyDelivered)
    return refused(
      "BC1",
      "The car of this sale is handed over, or the sale has ended: its address is history",
    );
  if (facts.transport === "beingAsked")
    return refused("BC2", "The carrier is being asked for a transport to this address: wait for its answer");
  return { kind: "allowed", carrierHasTheOldOne: facts.transport === "arranged" };
}

function refused(rule: keyof typeof correctionRules, message: string): Refused {
  return { kind: "refused", code: "guard", rule, section: additionSection, message, possible: [] };
}

export type CorrectedFacts = {
  corrected: readonly ("address" | "telephone number")[];
  carrierHasTheOldOne: boolean;
  vehicleState: VehicleState | "start" | "end";
  isRegistered: boolean;
  mayArrangeTransports: boolean;
};

/** What is left to do, as far as the state of the car allows it; `isForDealership`: as a task of the dealership. */
export function adviseCorrected({
  corrected,
  carrierHasTheOldOne,
  vehicleState,
  isRegistered,
  mayArrangeTransports,
}: CorrectedFacts): { notes: string[]; isForDealership: boolean } {
  const what = corrected.join(" and ");
  const isForDealership = carrierHasTheOldOne && !mayArrangeTransports;
  const canBeReplaced = listPossibleEvents(vehicleMachine, vehicleState).includes("transportReplaced");
  const advice = isForDealership
    ? "the dealership has a task to tell it"
    : canBeReplaced
      ? "arrange another one in its place"
      : `no other one can be arranged while the car is ${vehicleState}, so tell the carrier by telephone`;
  return {
    isForDealership,
    notes: [
      ...(carrierHasTheOldOne ? [`the carrier has the transport with the old ${what}: ${advice}`] : []),
      ...(isRegistered && corrected.includes("address")
        ? ["the registration document has the old address: have the authority change it"]
        : []),
    ],
  };
}
