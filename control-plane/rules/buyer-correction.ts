import { additionSection } from "./additions.ts";
import type { SaleStatus } from "./statuses.ts";
import type { Refused } from "./types.ts";

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
