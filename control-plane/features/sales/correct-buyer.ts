import { describeAddress } from "../../http/contact-fields.ts";
import { type Refusal, refuse, refuseByRule } from "../../http/refusal.ts";
import type { Actor } from "../../lifecycle/actor.ts";
import type { Context } from "../../lifecycle/context.ts";
import { recordSteps } from "../../lifecycle/record-step.ts";
import { adviseCorrected, type CorrectionFacts, judgeCorrection } from "../../rules/buyer-correction.ts";
import type { Transaction } from "../../store/database.ts";
import type { Address, Buyer } from "../../store/schema.ts";

export type Correction = {
  expedienteId: string;
  phone?: string | undefined;
  address?: Address | undefined;
  actor: Actor;
  mayArrangeTransports: boolean;
};

/**
 * Corrects how the buyer of one sale is reached; the customer's account stays as it is. The step says what was there
 * before.
 */
export async function correctBuyer(
  context: Context,
  tx: Transaction,
  correction: Correction,
): Promise<{ kind: "corrected"; notes: string[] } | Refusal> {
  const { expedienteId } = correction;
  const sale = await tx
    .selectFrom("expedientes")
    .where("id", "=", expedienteId)
    .select(["status", "buyer", "vehicle_id", "reference", "registration_document"])
    .forUpdate()
    .executeTakeFirstOrThrow(() => new Error(`no expediente ${expedienteId}`));
  const { physically_delivered: physicallyDelivered, state: vehicleState } = await tx
    .selectFrom("vehicles")
    .where("id", "=", sale.vehicle_id)
    .select(["physically_delivered", "state"])
    .executeTakeFirstOrThrow();
  const transport = await readTransport(tx, expedienteId);
  const judged = judgeCorrection({ saleStatus: sale.status, physicallyDelivered, transport });
  if (judged.kind === "refused") return refuseByRule(judged);

  const buyer: Buyer = {
    ...sale.buyer,
    phone: correction.phone ?? sale.buyer.phone,
    address: correction.address ?? sale.buyer.address,
  };
  const changes = describeChanges(sale.buyer, buyer);
  if (Object.keys(changes).length === 0)
    return refuse("conflict", "the sale has this address and this telephone number already");
  await tx
    .updateTable("expedientes")
    .set({ buyer: JSON.stringify(buyer) })
    .where("id", "=", expedienteId)
    .execute();
  await recordSteps(tx, [
    {
      expedienteId,
      vehicleId: sale.vehicle_id,
      event: "buyerCorrected",
      automation: null,
      actor: correction.actor,
      at: context.clock.now(),
      detail: changes,
    },
  ]);
  const corrected = [
    ...("address" in changes ? (["address"] as const) : []),
    ...("phone" in changes ? (["telephone number"] as const) : []),
  ];
  const { notes, isForDealership } = adviseCorrected({
    corrected,
    carrierHasTheOldOne: judged.carrierHasTheOldOne,
    vehicleState,
    isRegistered: sale.registration_document !== null,
    mayArrangeTransports: correction.mayArrangeTransports,
  });
  if (isForDealership)
    await context.publish(tx, "taskNeeded", [
      {
        kind: "carrierHasOldContact",
        facts: { what: corrected.join(" and "), reference: sale.reference },
        detail: changes,
        subject: { expedienteId, vehicleId: sale.vehicle_id },
      },
    ]);
  return { kind: "corrected", notes };
}

async function readTransport(tx: Transaction, expedienteId: string): Promise<CorrectionFacts["transport"]> {
  const transports = await tx
    .selectFrom("transports")
    .where("expediente_id", "=", expedienteId)
    .where("status", "not in", ["replaced", "refused", "customerAbsent", "returned"])
    .select("status")
    .execute();
  if (transports.some(({ status }) => status === "requested")) return "beingAsked";
  return transports.length === 0 ? "none" : "arranged";
}

function describeChanges(before: Buyer, after: Buyer): Record<string, string> {
  const changes: Record<string, string> = {};
  if (before.phone !== after.phone) {
    changes.phoneBefore = before.phone;
    changes.phone = after.phone;
  }
  const [addressBefore, address] = [describeAddress(before.address), describeAddress(after.address)];
  if (addressBefore !== address) {
    changes.addressBefore = addressBefore;
    changes.address = address;
  }
  return changes;
}
